package filefeed

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/docsgate/docsgate/keys"
)

// maxFileBytes is the largest key file that is read: 64 MiB, room for some 300,000 keys.
const maxFileBytes = 64 << 20

// defaultPoll is how often Watch reads the file by itself.
const defaultPoll = 5 * time.Second

// Options configure a Feed.
type Options struct {
	// Path of the file. Required.
	Path string

	// Resolve gives the value of a placeholder, which it gets whole: "{env.X}" or "{file.X}". An error and an empty value
	// are both a fault; the text of the error is not shown. Line ends behind the value are cut off.
	// nil takes the process's environment and files as they are.
	Resolve func(placeholder string) (string, error)

	// CheckSource looks at the id of a source and returns its canonical form. The text of the error becomes part of a
	// fault. nil accepts all.
	CheckSource func(id string) (string, error)

	// CheckSources looks at the number of sources of one key. The text of the error becomes part of a fault. nil accepts
	// all.
	CheckSources func(n int) error

	// Poll is how often Watch compares the content of the file, besides what the file system reports: some report
	// nothing. Default: 5 s.
	Poll time.Duration
}

// Feed is a key file as a feed of keys. It is safe for concurrent use. Make one with New.
type Feed struct {
	options Options

	mu   sync.Mutex // guards last
	last content    // loaded or reported last; zero if none was
}

var _ keys.Feed = (*Feed)(nil)

// content tells one content of the file from another. A file that cannot be read has one, too.
type content struct {
	known    bool
	readable bool
	sum      [sha256.Size]byte
}

// New returns a feed of a key file. The file is not touched yet.
func New(o Options) (*Feed, error) {
	if o.Path == "" {
		return nil, errors.New("a key file needs a path")
	}
	if o.Poll < 0 {
		return nil, errors.New("the time between two looks at a key file cannot be negative")
	}
	if o.Poll == 0 {
		o.Poll = defaultPoll
	}
	if o.Resolve == nil {
		o.Resolve = resolveHere
	}
	return &Feed{options: o}, nil
}

// Name returns "file:" and the path as it was configured, so that files of one name in two folders are two feeds.
func (f *Feed) Name() string { return "file:" + f.options.Path }

// Load reads and checks the file. An error is of type Faults, or the context's.
func (f *Feed) Load(ctx context.Context) ([]keys.Key, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	data, err := f.read()
	f.remember(contentOf(data, err))
	if err != nil {
		return nil, Faults{{Path: f.options.Path, Message: err.Error()}}
	}
	set, faults := parse(data, &f.options)
	if len(faults) > 0 {
		for i := range faults {
			faults[i].Path = f.options.Path
		}
		return nil, faults
	}
	return set, nil
}

// read returns the content of the file. The errors say how to mend them and do not repeat the path.
func (f *Feed) read() ([]byte, error) {
	// Opening a pipe or a device could block, so the kind is looked at first.
	switch info, err := os.Stat(f.options.Path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.New(`the file does not exist: create it, "keys: []" is enough to begin with`)
	case errors.Is(err, fs.ErrPermission):
		return nil, errors.New("the directory may not be read: allow it to the user that the gate runs as")
	case err != nil:
		return nil, fmt.Errorf("looking at the file: %w", withoutPath(err))
	case !info.Mode().IsRegular():
		return nil, errors.New("this is not a regular file: name the key file itself")
	}
	file, err := os.Open(f.options.Path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, errors.New("the file may not be read: allow it to the user that the gate runs as")
	case err != nil:
		return nil, fmt.Errorf("opening the file: %w", withoutPath(err))
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFileBytes+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading the file: %w", withoutPath(err))
	case len(data) > maxFileBytes:
		return nil, errors.New("the file is larger than 64 MiB: split it into several feeds")
	}
	return data, nil
}

func withoutPath(err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

func contentOf(data []byte, err error) content {
	if err != nil {
		return content{known: true}
	}
	return content{known: true, readable: true, sum: sha256.Sum256(data)}
}

func (f *Feed) remember(c content) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = c
}

// resolveHere resolves placeholders from the environment and the files of this process.
func resolveHere(placeholder string) (string, error) {
	name := strings.Trim(placeholder, "{}")
	if name, ok := strings.CutPrefix(name, "env."); ok {
		return os.Getenv(name), nil
	}
	data, err := os.ReadFile(strings.TrimPrefix(name, "file."))
	return string(data), err
}

const notUTF8 = "this is not UTF-8 text: save the file in that encoding"

// invalidUTF8 returns the offset of the first byte that is not UTF-8, or -1.
func invalidUTF8(data []byte) int {
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			return i
		}
		i += size
	}
	return -1
}

// parse reads the content of a key file. Either there are faults, without a path, or the keys are good.
func parse(data []byte, o *Options) ([]keys.Key, Faults) {
	c := checker{options: o}
	return c.parse(data)
}

func (c *checker) parse(data []byte) ([]keys.Key, Faults) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")) // the byte order mark that some editors write
	if i := invalidUTF8(data); i >= 0 {
		return nil, Faults{{Line: 1 + bytes.Count(data[:i], []byte("\n")), Message: notUTF8}}
	}
	read := parseYAML
	if looksLikeJSON(data) {
		read = parseJSON
	}
	root, fault := read(data)
	if fault != nil {
		return nil, Faults{*fault}
	}
	c.ids, c.digests = map[string]int{}, map[keys.Digest]owner{}
	set := c.file(root)
	if len(c.faults) > 0 {
		c.faults.sort()
		return nil, c.faults
	}
	return set, nil
}
