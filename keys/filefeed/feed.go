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

// maxFileBytes is the maximum size of a key file: 64 MiB, enough for about 300,000 keys.
const maxFileBytes = 64 << 20

// defaultPoll is the default interval at which Watch reads the file without an event.
const defaultPoll = 5 * time.Second

// Options configures a Feed.
type Options struct {
	// Path is the path of the file. It is required.
	Path string

	// Resolve returns the value of a placeholder, such as "{env.X}" or "{file.X}". An error or an empty value is a fault; the
	// text of the error is not shown. Newlines at the end of the value are removed. If Resolve is nil, placeholders are
	// resolved from the environment and the files of the process.
	Resolve func(placeholder string) (string, error)

	// CheckSource validates the ID of a source and returns its canonical form. The text of the error becomes part of a fault.
	// nil accepts all IDs.
	CheckSource func(id string) (string, error)

	// CheckSources validates the number of sources of one key. The text of the error becomes part of a fault. nil accepts any
	// number.
	CheckSources func(n int) error

	// Poll is the interval at which Watch compares the content of the file in addition to file system events, which some file
	// systems do not report. Default: 5 s.
	Poll time.Duration
}

// Feed is a feed of keys from a key file. It is safe for concurrent use. Create one with New.
type Feed struct {
	options Options

	mu   sync.Mutex // guards last
	last fileState  // state that was last loaded or reported; zero if there was none
}

var _ keys.BatchFeed = (*Feed)(nil)

// fileState identifies a state of the file, including an unreadable one.
type fileState struct {
	known    bool
	readable bool
	sum      [sha256.Size]byte
}

// New returns a feed of a key file. It does not access the file.
func New(o Options) (*Feed, error) {
	if o.Path == "" {
		return nil, errors.New("the path of the key file is required")
	}
	if o.Poll < 0 {
		return nil, errors.New("the poll interval of the key file must not be negative")
	}
	if o.Poll == 0 {
		o.Poll = defaultPoll
	}
	if o.Resolve == nil {
		o.Resolve = resolveLocal
	}
	return &Feed{options: o}, nil
}

// Name returns "file:" and the path as configured, so that files with the same name in different folders are different feeds.
func (f *Feed) Name() string { return "file:" + f.options.Path }

// Load reads and validates the file. The error is of type Faults, or that of the context.
func (f *Feed) Load(ctx context.Context) ([]keys.Key, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	data, err := f.read()
	f.setLast(stateOf(data, err))
	if err != nil {
		return nil, ErrorList{{Path: f.options.Path, Message: err.Error()}}
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

// open opens the file. The errors say how to fix the problem and do not contain the path.
func (f *Feed) open() (*os.File, os.FileInfo, error) {
	// Check the type first, since opening a pipe or a device could block.
	info, err := os.Stat(f.options.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, errors.New(`the file does not exist: create it with at least "keys: []"`)
	case errors.Is(err, fs.ErrPermission):
		return nil, nil, errors.New("no permission to read the directory: grant it to the user that runs the gate")
	case err != nil:
		return nil, nil, fmt.Errorf("reading the file: %w", withoutPath(err))
	case !info.Mode().IsRegular():
		return nil, nil, errors.New("not a regular file: specify the path of the key file itself")
	}
	file, err := os.Open(f.options.Path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, nil, errors.New("no permission to read the file: grant it to the user that runs the gate")
	case err != nil:
		return nil, nil, fmt.Errorf("opening the file: %w", withoutPath(err))
	}
	return file, info, nil
}

// read returns the content of the file.
func (f *Feed) read() ([]byte, error) {
	file, info, err := f.open()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var data bytes.Buffer
	data.Grow(int(min(info.Size(), maxFileBytes)) + bytes.MinRead) // growing step by step would take three times the memory
	switch _, err := data.ReadFrom(io.LimitReader(file, maxFileBytes+1)); {
	case err != nil:
		return nil, fmt.Errorf("reading the file: %w", withoutPath(err))
	case data.Len() > maxFileBytes:
		return nil, errors.New("the file is larger than 64 MiB: split it into several feeds")
	}
	return data.Bytes(), nil
}

func withoutPath(err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

func stateOf(data []byte, err error) fileState {
	if err != nil {
		return fileState{known: true}
	}
	return fileState{known: true, readable: true, sum: sha256.Sum256(data)}
}

// state reads the file, and returns its state.
func (f *Feed) state() fileState {
	file, _, err := f.open()
	if err != nil {
		return fileState{known: true}
	}
	defer file.Close()
	sum := sha256.New()
	if n, err := io.Copy(sum, io.LimitReader(file, maxFileBytes+1)); err != nil || n > maxFileBytes {
		return fileState{known: true}
	}
	return fileState{known: true, readable: true, sum: [sha256.Size]byte(sum.Sum(nil))}
}

func (f *Feed) setLast(c fileState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last = c
}

// resolveLocal resolves placeholders from the environment and the files of this process.
func resolveLocal(placeholder string) (string, error) {
	name := strings.Trim(placeholder, "{}")
	if name, ok := strings.CutPrefix(name, "env."); ok {
		return os.Getenv(name), nil
	}
	data, err := os.ReadFile(strings.TrimPrefix(name, "file."))
	return string(data), err
}

const notUTF8 = "the file is not UTF-8: save it with that encoding"

// invalidUTF8 returns the offset of the first invalid byte, or -1.
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

// parse parses the content of a key file. It returns either faults, without a path, or valid keys.
func parse(data []byte, o *Options) ([]keys.Key, ErrorList) {
	c := decoder{options: o, partBytes: partBytes}
	return c.parse(data)
}

func (c *decoder) parse(data []byte) ([]keys.Key, ErrorList) {
	data = bytes.TrimPrefix(data, []byte(byteOrderMark))
	if i := invalidUTF8(data); i >= 0 {
		return nil, ErrorList{{Line: 1 + bytes.Count(data[:i], []byte("\n")), Message: notUTF8}}
	}
	if fault := c.decode(data); fault != nil {
		return nil, ErrorList{*fault}
	}
	if len(c.faults) > 0 {
		c.faults.sort()
		return nil, c.faults
	}
	return c.set, nil
}

// decode decodes the keys and collects their faults. It returns the fault of a file that is not valid YAML or JSON.
func (c *decoder) decode(data []byte) *Error {
	parse := parseYAML
	if looksLikeJSON(data) {
		parse = parseJSON
	} else if parts := splitYAML(data, c.partBytes); parts != nil && c.parts(parts) {
		return nil
	}
	root, fault := parse(data)
	if fault != nil {
		return fault
	}
	c.begin()
	c.file(root)
	return nil
}
