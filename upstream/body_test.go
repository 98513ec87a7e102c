package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"
	"testing/iotest"
)

// noProgressReader fails if it is called with an empty slice repeatedly.
type noProgressReader struct {
	io.Reader
	empty int
}

var errAskedForNothing = errors.New("read with an empty buffer again and again")

func (p *noProgressReader) Read(buf []byte) (int, error) {
	if len(buf) == 0 {
		if p.empty++; p.empty > 100 {
			return 0, errAskedForNothing
		}
		return 0, nil
	}
	return p.Reader.Read(buf)
}

// text returns n bytes that differ by position.
func text(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>8) ^ byte(i)
	}
	return b
}

func TestReadBody(t *testing.T) {
	const limit = 6 << 20
	readers := map[string]func(io.Reader) io.Reader{
		"in one read":       func(r io.Reader) io.Reader { return r },
		"end with the data": iotest.DataErrReader,
		"in halves":         iotest.HalfReader,
		"byte by byte":      iotest.OneByteReader,
	}
	for _, size := range []int{
		0, 1, 100, smallBuffer - 513, smallBuffer - 512, smallBuffer - 511, smallBuffer - 1, smallBuffer, smallBuffer + 1,
		2 * smallBuffer, initialCap - 513, initialCap - 1, initialCap, initialCap + 1, 100_000, growthFactor*initialCap + 1, 5 << 20,
	} {
		for how, reader := range readers {
			if size > 100_000 && how == "byte by byte" {
				continue // takes long and adds nothing
			}
			for _, slack := range []int{0, 1, 512} {
				for announced, length := range map[string]int64{"announced": int64(size), "not announced": -1} {
					t.Run(fmt.Sprintf("%d %s, %s, slack %d", size, how, announced, slack), func(t *testing.T) {
						want := text(size)
						b, err := ReadBody(&noProgressReader{Reader: reader(bytes.NewReader(want))}, length, limit, slack, nil)
						if err != nil {
							t.Fatal(err)
						}
						defer b.Release()
						if !bytes.Equal(b.Bytes, want) {
							t.Errorf("%d bytes, not the ones that were sent", len(b.Bytes))
						}
						if spare := cap(b.Bytes) - len(b.Bytes); spare < slack {
							t.Errorf("%d bytes to spare, want %d", spare, slack)
						}
					})
				}
			}
		}
	}
}

func TestReadBodyLimit(t *testing.T) {
	for _, limit := range []int64{0, 1, 100, smallBuffer - 512, smallBuffer, 100_000} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			for _, length := range []int64{-1, limit} {
				b, err := ReadBody(bytes.NewReader(text(int(limit))), length, limit, 512, nil)
				if err != nil {
					t.Fatalf("a body at the limit, length %d: %v", length, err)
				}
				b.Release()
			}
			b, err := ReadBody(bytes.NewReader(text(int(limit)+1)), -1, limit, 512, nil)
			if !errors.Is(err, ErrTooLarge) || b != nil {
				t.Errorf("one byte over the limit: %v", err)
			}
			if b, err = ReadBody(zeroReader{}, -1, limit, 512, nil); !errors.Is(err, ErrTooLarge) || b != nil {
				t.Errorf("an endless body: %v", err)
			}
			// A body that announces too many bytes is rejected before anything is read.
			if b, err = ReadBody(iotest.ErrReader(errors.New("read")), limit+1, limit, 512, nil); !errors.Is(err, ErrTooLarge) || b != nil {
				t.Errorf("announced to be over the limit: %v", err)
			}
		})
	}
}

// zeroReader never ends.
type zeroReader struct{}

func (zeroReader) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}

func TestReadBodyError(t *testing.T) {
	for _, size := range []int{0, 50, 50_000} {
		for _, length := range []int64{-1, 60_000} {
			body := io.MultiReader(bytes.NewReader(text(size)), iotest.ErrReader(io.ErrUnexpectedEOF))
			if b, err := ReadBody(body, length, 1<<20, 512, nil); !errors.Is(err, io.ErrUnexpectedEOF) || b != nil {
				t.Errorf("after %d bytes, length %d: got %v", size, length, err)
			}
		}
	}
}

// Servers truncate a body to its announced length, but a handler in between may replace it.
func TestReadBodyWrongLength(t *testing.T) {
	for _, size := range []int{1, 100, smallBuffer, 20_000, 100_000} {
		for _, length := range []int{0, 1, size / 2, size - 1, size + 1, 2 * size} {
			t.Run(fmt.Sprintf("%d announced, %d sent", length, size), func(t *testing.T) {
				want := text(size)
				b, err := ReadBody(&noProgressReader{Reader: bytes.NewReader(want)}, int64(length), 1<<20, 512, nil)
				if errors.Is(err, errAskedForNothing) {
					t.Fatal("it does not end")
				}
				if err != nil {
					return // refusing is as good
				}
				defer b.Release()
				if !bytes.Equal(b.Bytes, want) {
					t.Errorf("%d bytes, not the ones that were sent", len(b.Bytes))
				}
			})
		}
	}
}

// chunkedBody is a body that returns a chunk per read, and records the capacity that it is offered.
type chunkedBody struct {
	given, most int
	t           *testing.T
}

func (m *chunkedBody) Read(p []byte) (int, error) {
	if allowed := initialCap + growthFactor*m.given; len(p) > allowed {
		m.t.Errorf("after %d bytes there is room for %d more, want at most %d", m.given, len(p), allowed)
	}
	n := min(1000, len(p), m.most-m.given)
	m.given += n
	if m.given == m.most {
		return n, io.ErrUnexpectedEOF // the client is gone
	}
	return n, nil
}

// Announcing a large body costs a client nothing, so it must not make the gate allocate much.
func TestReadBodyGrowsWithReceivedBytes(t *testing.T) {
	for _, sent := range []int{1, 100_000, 500_000} {
		for range 2 {
			runtime.GC() // empties the pools, in which there may be larger buffers
		}
		if _, err := ReadBody(&chunkedBody{most: sent, t: t}, 4<<20, 4<<20, 512, nil); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes of it: %v", sent, err)
		}
	}
}

// The memory of a body is requested before it is allocated, and released when more is denied.
func TestReadBodyRequestsMemory(t *testing.T) {
	use := &account{}
	b, err := ReadBody(bytes.NewReader(text(1<<20)), 1<<20, 4<<20, 512, use)
	if err != nil {
		t.Fatal(err)
	}
	if use.memory != int64(cap(b.Bytes)) || use.memory > 1<<20+1<<18 {
		t.Errorf("counted are %d bytes of %d", use.memory, cap(b.Bytes))
	}
	b.Release() // a pool of large buffers changes nothing
	for _, most := range []int64{1, 20 << 10, 500_000} {
		use := &account{mostMemory: most}
		sent := bytes.NewReader(text(1 << 20))
		b, err := ReadBody(sent, 1<<20, 4<<20, 512, use)
		if !errors.Is(err, errNo) || b != nil {
			t.Errorf("at most %d bytes: %v", most, err)
		}
		if read := 1<<20 - int64(sent.Len()); read > most {
			t.Errorf("at most %d bytes: %d were read", most, read)
		}
	}
}
