package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
)

// SpoolMemory is how much of a spooled body stays in memory, in bytes; a larger one goes to a file as a whole.
const SpoolMemory = 256 << 10

// ErrSpool is returned when a body cannot be written down. The cause is wrapped in it.
var ErrSpool = errors.New("the body cannot be stored")

// Spool is a request body that is written down before it is sent: its length must be known, and nothing of it may be
// sent before it has been read to its end. A large one lies in a file without a name, which is gone when the spool is
// released, and also when the process ends. Writing is for one goroutine; when it is over, readers may be opened.
type Spool struct {
	allow  Allowance
	memory []byte
	file   *os.File
	name   string // of the file, where an open file cannot be removed
	size   int64

	refs atomic.Int32 // its maker and the open readers
}

var _ Body = (*Spool)(nil)

// NewSpool returns an empty spool. The caller must Release it once. allow is asked before the body uses more memory or a
// larger file, and its error is what Write returns; Free is called when the last reader is closed. It may be nil.
func NewSpool(allow Allowance) *Spool {
	if allow == nil {
		allow = unlimited{}
	}
	s := &Spool{allow: allow}
	s.refs.Store(1)
	return s
}

// Write adds to the body. The error is that of the allowance, or [ErrSpool].
func (s *Spool) Write(p []byte) (int, error) {
	if s.file == nil && len(s.memory)+len(p) <= SpoolMemory {
		if len(s.memory)+len(p) > cap(s.memory) {
			if err := s.grow(len(s.memory) + len(p)); err != nil {
				return 0, err
			}
		}
		s.memory = append(s.memory, p...)
		s.size += int64(len(p))
		return len(p), nil
	}
	if err := s.allow.Disk(s.size + int64(len(p))); err != nil {
		return 0, err
	}
	if s.file == nil {
		if err := s.toFile(); err != nil {
			return 0, err
		}
	}
	n, err := s.file.Write(p)
	s.size += int64(n)
	if err != nil {
		return n, fmt.Errorf("%w: %w", ErrSpool, err)
	}
	return n, nil
}

// grow makes room in memory: for a small form, or for all that may be there.
func (s *Spool) grow(size int) error {
	room := SpoolMemory
	if size <= SpoolMemory/8 {
		room = SpoolMemory / 8
	}
	if err := s.allow.Memory(int64(room)); err != nil {
		return err
	}
	s.memory = append(make([]byte, 0, room), s.memory...)
	return nil
}

// toFile moves what is in memory to a file that nobody else can open.
func (s *Spool) toFile() error {
	file, err := os.CreateTemp("", "docsgate-upload-*") // mode 0600
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSpool, err)
	}
	s.file = file
	if os.Remove(file.Name()) != nil {
		s.name = file.Name()
	}
	if _, err = file.Write(s.memory); err != nil {
		return fmt.Errorf("%w: %w", ErrSpool, err)
	}
	s.memory = nil
	return s.allow.Memory(0)
}

// OnDisk tells whether the body lies in a file.
func (s *Spool) OnDisk() bool { return s.file != nil }

// Len implements Body.
func (s *Spool) Len() int64 { return s.size }

// Open implements Body. The spool is kept until the reader is closed.
func (s *Spool) Open() io.ReadCloser {
	s.refs.Add(1)
	if s.file != nil {
		return &refReadCloser{reader: io.NewSectionReader(s.file, 0, s.size), release: s.Release}
	}
	return &refReadCloser{reader: bytes.NewReader(s.memory), release: s.Release}
}

// Release implements Body.
func (s *Spool) Release() {
	if s.refs.Add(-1) > 0 {
		return
	}
	defer s.allow.Free()
	if s.file == nil {
		return
	}
	s.file.Close()
	if s.name != "" {
		_ = os.Remove(s.name) // there is nothing else to do about it
	}
}

// Limit returns a reader of at most n bytes of r. What is longer ends in [ErrTooLarge].
func Limit(r io.Reader, n int64) io.Reader { return &limited{r, n} }

type limited struct {
	r    io.Reader
	left int64 // below 0: one byte too many was read
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, ErrTooLarge
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return n - 1, ErrTooLarge
	}
	return n, err
}
