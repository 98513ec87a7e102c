package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"testing"
)

// account is an allowance that records the usage of a body, and denies usage above its limits.
type account struct {
	memory, disk         int64
	mostMemory, mostDisk int64 // limits; 0: none
	freed                int
}

var errNo = errors.New("no")

func (a *account) Memory(bytes int64) error {
	if a.mostMemory > 0 && bytes > a.mostMemory {
		return errNo
	}
	a.memory = bytes
	return nil
}

func (a *account) Disk(bytes int64) error {
	if a.mostDisk > 0 && bytes > a.mostDisk {
		return errNo
	}
	a.disk = bytes
	return nil
}

func (a *account) Free() { a.freed++ }

// spoolOf returns a spool to which text was written in chunks.
func spoolOf(t *testing.T, text []byte, piece int, allow Allowance) *Spool {
	t.Helper()
	s := NewSpool(allow)
	for len(text) > 0 {
		n := min(piece, len(text))
		if written, err := s.Write(text[:n]); err != nil || written != n {
			t.Fatalf("%d, %v", written, err)
		}
		text = text[n:]
	}
	return s
}

func TestSpoolRoundTrip(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for _, size := range []int{0, 1, SpoolMemory - 1, SpoolMemory, SpoolMemory + 1, 3 << 20} {
		for _, piece := range []int{1000, SpoolMemory, 4 << 20} {
			t.Run(fmt.Sprintf("%d in pieces of %d", size, piece), func(t *testing.T) {
				want := text(size)
				use := &account{}
				s := spoolOf(t, want, piece, use)
				if s.Len() != int64(size) {
					t.Errorf("length %d", s.Len())
				}
				if s.OnDisk() != (size > SpoolMemory) || (use.disk > 0) != s.OnDisk() {
					t.Errorf("in a file: %v, %d bytes are counted", s.OnDisk(), use.disk)
				}
				if s.OnDisk() && (use.disk != int64(size) || use.memory != 0) || !s.OnDisk() && use.memory != int64(cap(s.memory)) {
					t.Errorf("counted are %d bytes in memory, %d in a file", use.memory, use.disk)
				}
				first, second := s.Open(), s.Open()
				s.Release()
				for _, r := range []io.ReadCloser{first, second} {
					if use.freed > 0 {
						t.Error("freed while it is read")
					}
					got, err := io.ReadAll(r)
					if err != nil || !bytes.Equal(got, want) {
						t.Errorf("%d bytes, %v: not the ones that were written", len(got), err)
					}
					for range 2 { // net/http may close a body twice
						if err := r.Close(); err != nil {
							t.Error(err)
						}
					}
				}
				if use.freed != 1 {
					t.Errorf("freed %d times", use.freed)
				}
				if s.file == nil {
					return
				}
				if _, err := s.file.Stat(); !errors.Is(err, os.ErrClosed) {
					t.Errorf("the file is still open: %v", err)
				}
			})
		}
	}
}

// No other user can open the file, and it is removed.
func TestSpoolRemovesFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Setenv("TMP", t.TempDir())
	}
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	s := spoolOf(t, text(1<<20), 1000, nil)
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("while it is in use: %v, %v", entries, err)
	}
	info, err := s.file.Stat()
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	s.Release()
	if _, err := s.file.Stat(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("the file is still open: %v", err)
	}
}

func TestSpoolErrors(t *testing.T) {
	use := &account{mostDisk: SpoolMemory}
	s := NewSpool(use)
	defer s.Release()
	if _, err := s.Write(text(SpoolMemory)); err != nil {
		t.Errorf("what fits into memory: %v", err)
	}
	if _, err := s.Write([]byte("x")); !errors.Is(err, errNo) || s.OnDisk() {
		t.Errorf("what does not: %v", err)
	}
	s = NewSpool(&account{mostMemory: SpoolMemory / 8})
	defer s.Release()
	if _, err := s.Write(text(SpoolMemory / 8)); err != nil {
		t.Errorf("what fits into the memory that it may have: %v", err)
	}
	if _, err := s.Write([]byte("x")); !errors.Is(err, errNo) || s.Len() != SpoolMemory/8 {
		t.Errorf("what does not: %v", err)
	}
	use = &account{mostDisk: 1 << 20}
	s = NewSpool(use)
	defer s.Release()
	for s.Len() < 1<<20 {
		if _, err := s.Write(text(SpoolMemory)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Write([]byte("x")); !errors.Is(err, errNo) || use.disk != 1<<20 || s.Len() != 1<<20 {
		t.Errorf("more than the file may have: %v, %d bytes", err, s.Len())
	}
	t.Setenv("TMPDIR", t.TempDir()+"/missing")
	s = NewSpool(nil)
	defer s.Release()
	if _, err := s.Write(text(SpoolMemory + 1)); !errors.Is(err, ErrSpool) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder for temporary files: %v", err)
	}
}
