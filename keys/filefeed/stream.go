package filefeed

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash"
	"hash/maphash"
	"io"
	"runtime"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/docsgate/docsgate/keys"
)

// LoadBatch is Load for a store that takes the keys over. A valid file is decoded key by key while it is read, so that neither its content
// nor the decoded keys are in memory as a whole. Small files, files with a fault, and those in an unusual form are decoded by Load.
func (f *Feed) LoadBatch(ctx context.Context) (*keys.Batch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if batch, sum, err := f.stream(); err == nil {
		f.setLast(fileState{known: true, readable: true, sum: sum})
		if batch.Len() > collectAbove {
			runtime.GC()
		}
		return batch, nil
	}
	set, err := f.Load(ctx)
	if err != nil {
		return nil, err
	}
	batch := new(keys.Batch)
	for i := range set {
		batch.Add(&set[i])
	}
	return batch, nil
}

// collectAbove is the number of keys above which the garbage of decoding is collected before the keys are stored. Otherwise the heap would
// grow by that while memory is allocated for the store: 15 MB for 100,000 keys.
const collectAbove = 10_000

// errNotStreamed means that a file must be decoded as a whole: for the faults, or because of its form. The text is not shown.
var errNotStreamed = errors.New("the file must be decoded as a whole")

// stream decodes the file while it is read. After an error the file must be loaded as a whole, which finds its cause.
func (f *Feed) stream() (*keys.Batch, [sha256.Size]byte, error) {
	var sum [sha256.Size]byte
	file, info, err := f.open()
	if err != nil {
		return nil, sum, err
	}
	defer file.Close()
	if info.Size() < 2*partBytes {
		return nil, sum, errNotStreamed
	}
	batch, sum, err := streamFrom(io.LimitReader(file, maxFileBytes+1), &f.options)
	return batch, sum, err
}

// streamFrom decodes the content of a key file, and returns its checksum.
func streamFrom(file io.Reader, o *Options) (*keys.Batch, [sha256.Size]byte, error) {
	checked := &checkedReader{r: file, sum: sha256.New()}
	in := bufio.NewReaderSize(checked, partBytes)
	s := newStream(o)
	if mark, err := in.Peek(len(byteOrderMark)); err == nil && string(mark) == byteOrderMark {
		_, _ = in.Discard(len(byteOrderMark)) // was peeked
	}
	begin, err := in.Peek(1)
	if err == nil {
		if begin[0] == '{' { // otherwise after white space
			err = s.json(in)
		} else {
			err = s.yaml(in)
		}
	}
	if err == nil {
		err = checked.finish()
	}
	batch := s.batch // a pointer into s would keep all of it in memory
	return &batch, [sha256.Size]byte(checked.sum.Sum(nil)), err
}

// byteOrderMark is a byte order mark that some editors write.
const byteOrderMark = "\xef\xbb\xbf"

// blockSize is the size of an allocation for the texts of several keys. It is not freed before the last of them.
const blockSize = 4096

// stream decodes keys one after the other, and adds them to a batch.
type stream struct {
	decoder decoder
	batch   keys.Batch
	arena   arena
	block   strings.Builder
	sources map[string]string // IDs of sources, each stored once
}

func newStream(o *Options) *stream {
	s := &stream{sources: map[string]string{}}
	s.decoder = decoder{options: o, partBytes: partBytes, seen: newSeen()}
	s.decoder.begin()
	return s
}

// add decodes one key.
func (s *stream) add(n *node) error {
	if n.kind != mapNode {
		return errNotStreamed
	}
	k := s.decoder.record(n)
	if len(s.decoder.faults) > 0 {
		return errNotStreamed
	}
	// Copies, since the texts may be parts of larger ones.
	named := k.Name != k.ID
	k.ID = s.text(k.ID)
	if named {
		k.Name = s.text(k.Name)
	} else {
		k.Name = k.ID
	}
	for i, id := range k.Binding.Sources {
		same, known := s.sources[id]
		if !known {
			same = strings.Clone(id)
			s.sources[same] = same
		}
		k.Binding.Sources[i] = same
	}
	s.batch.Add(&k)
	return nil
}

// text returns a copy of a short text in a block.
func (s *stream) text(t string) string {
	if s.block.Cap()-s.block.Len() < len(t) {
		s.block = strings.Builder{}
		s.block.Grow(max(blockSize, len(t)))
	}
	from := s.block.Len()
	s.block.WriteString(t)
	return s.block.String()[from:]
}

// seen has the IDs and digests of a file, in 8 bytes each. Two that differ may be taken for the same one; then the file is decoded as a whole.
type seen struct {
	seed    maphash.Seed
	ids     map[uint64]struct{}
	digests map[uint64]struct{}
}

func newSeen() *seen {
	return &seen{seed: maphash.MakeSeed(), ids: map[uint64]struct{}{}, digests: map[uint64]struct{}{}}
}

// addID reports false if the ID may have been added before.
func (s *seen) addID(id string) bool { return addNew(s.ids, maphash.String(s.seed, id)) }

// addDigest reports false if the digest may have been added before.
func (s *seen) addDigest(d keys.Digest) bool {
	return addNew(s.digests, binary.LittleEndian.Uint64(d[:]))
}

func addNew(set map[uint64]struct{}, hash uint64) bool {
	before := len(set)
	set[hash] = struct{}{}
	return len(set) > before
}

// arena reuses the nodes of one key for the next one.
type arena struct {
	nodes []*node
	used  int
}

func (a *arena) reset() { a.used = 0 }

// new returns an empty node with its own memory for items and fields. A nil arena allocates it.
func (a *arena) new(k kind, at position) *node {
	if a == nil {
		return &node{kind: k, position: at}
	}
	if a.used == len(a.nodes) {
		a.nodes = append(a.nodes, new(node))
	}
	n := a.nodes[a.used]
	a.used++
	*n = node{kind: k, position: at, items: n.items[:0], fields: n.fields[:0]}
	return n
}

// checkedReader computes a checksum of a file, and checks its size and encoding.
type checkedReader struct {
	r    io.Reader
	sum  hash.Hash
	size int
	rest []byte // begin of a character whose end was not read yet
}

func (c *checkedReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.sum.Write(b[:n])
	if c.size += n; c.size > maxFileBytes {
		return n, errNotStreamed
	}
	text := b[:n]
	if len(c.rest) > 0 {
		text = append(c.rest, text...)
	}
	whole := len(text)
	for i := 1; i < utf8.UTFMax && i <= len(text); i++ {
		if start := len(text) - i; utf8.RuneStart(text[start]) {
			if !utf8.FullRune(text[start:]) {
				whole = start
			}
			break
		}
	}
	if !utf8.Valid(text[:whole]) {
		return n, errNotStreamed
	}
	c.rest = slices.Clone(text[whole:])
	return n, err
}

// finish checks that the file was read to its end.
func (c *checkedReader) finish() error {
	if n, err := c.Read(make([]byte, 1)); n > 0 || !errors.Is(err, io.EOF) || len(c.rest) > 0 {
		return errNotStreamed
	}
	return nil
}

// unusualLineBreaks are the line breaks of YAML other than "\n" and "\r\n". Lines would be counted incorrectly.
var unusualLineBreaks = [][]byte{[]byte("\u0085"), []byte("\u2028"), []byte("\u2029")}

func containsAny(b []byte, texts [][]byte) bool {
	return slices.ContainsFunc(texts, func(t []byte) bool { return bytes.Contains(b, t) })
}
