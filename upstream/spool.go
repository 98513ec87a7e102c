package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
)

// SpoolMemory is the largest size of a spooled body in memory, in bytes. A larger body is moved to a file completely.
const SpoolMemory = 256 << 10

// ErrSpool is returned if a body cannot be stored. It wraps the cause.
var ErrSpool = errors.New("the body cannot be stored")

// Spool is a request body that is stored before it is sent, since its length must be known and nothing of it may be sent
// before it has been read completely. A large body is in an unlinked temporary file, which disappears when the spool is
// released or the process ends. Write is for one goroutine. Readers may be opened when writing is complete.
type Spool struct {
	allow  Allowance
	memory []byte
	file   *os.File
	name   string // of the file, on systems that cannot remove an open file
	size   int64

	refs atomic.Int32 // its creator and the open readers
}

var _ Body = (*Spool)(nil)

// NewSpool returns an empty spool. The caller must call Release once. The spool asks allow before it uses more memory or a
// larger file, and Write returns its error. It calls Free when the last reader is closed. allow may be nil.
func NewSpool(allow Allowance) *Spool {
	if allow == nil {
		allow = unlimited{}
	}
	s := &Spool{allow: allow}
	s.refs.Store(1)
	return s
}

// Write appends to the body. The error is the allowance's or [ErrSpool].
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

// grow allocates memory: for a small form, or all of SpoolMemory.
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

// toFile moves the body from memory to a file that only this user can open.
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

// OnDisk reports whether the body is in a file.
func (s *Spool) OnDisk() bool { return s.file != nil }

// Len implements Body.
func (s *Spool) Len() int64 { return s.size }

// View implements Body.
func (s *Spool) View() []byte { return s.memory }

// Open implements Body. The reader keeps the spool until it is closed.
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
		_ = os.Remove(s.name) // an error cannot be handled
	}
}
