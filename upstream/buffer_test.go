package upstream

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
)

func TestNewBufferCapacity(t *testing.T) {
	for _, size := range []int{0, 1, smallBuffer, smallBuffer + 1, 2 * smallBuffer, 1 << 20, largeBuffer, largeBuffer + 1} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			for range 3 { // the later ones may come from a pool
				b := NewBuffer(size)
				if len(b.Bytes) != 0 || cap(b.Bytes) < size {
					t.Errorf("length %d, capacity %d", len(b.Bytes), cap(b.Bytes))
				}
				b.Bytes = append(b.Bytes, "left behind"...)
				b.Release()
			}
		})
	}
}

func TestReleasedBuffersAreReused(t *testing.T) {
	for name, c := range map[string]struct {
		size int
		want bool
	}{
		"small":     {100, true},
		"large":     {1 << 20, true},
		"too large": {largeBuffer + 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			// A pool does not guarantee anything about one buffer, so the test tries many.
			again := 0
			for range 100 {
				first := NewBuffer(c.size)
				first.Release()
				second := NewBuffer(c.size)
				if second == first {
					again++
				}
				second.Release()
			}
			if (again > 0) != c.want {
				t.Errorf("%d of 100 buffers were used again", again)
			}
		})
	}
}

// Buffers return to the pool that serves their size, also if their creator has replaced their bytes.
func TestEverySizeIsPooled(t *testing.T) {
	for _, size := range []int{1, smallBuffer, smallBuffer + 1, smallBuffer + 5000, 2 * smallBuffer, 1 << 20, largeBuffer} {
		b := NewBuffer(size)
		room, place := bufferSize(size)
		if cap(b.Bytes) != room {
			t.Errorf("a buffer for %d bytes has a capacity of %d, not %d", size, cap(b.Bytes), room)
		}
		b.Bytes = b.Bytes[size/2 : size] // the rewritten body need not begin at the beginning
		b.Release()
		if _, again := bufferSize(cap(b.memory)); again != place || !b.pool {
			t.Errorf("a buffer for %d bytes is in pool %d, not %d", size, again, place)
		}
	}
}

// fill takes buffers from the pools and writes into them, which corrupts bytes that were released too early.
func fill(size int) {
	for range 8 {
		b := NewBuffer(size)
		b.Bytes = append(b.Bytes, bytes.Repeat([]byte("#"), size)...)
		defer b.Release()
	}
}

func TestReadersKeepBuffer(t *testing.T) {
	for _, size := range []int{100, smallBuffer, 100_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			want := bytes.Repeat([]byte("question"), size/8)
			b := NewBuffer(size)
			b.Bytes = append(b.Bytes, want...)
			first, second := b.Reader(), b.Reader()
			b.Release()
			fill(size)
			got, err := io.ReadAll(first)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("the first reader gives %.40q..., %v", got, err)
			}
			if err := first.Close(); err != nil {
				t.Error(err)
			}
			fill(size)
			if got, err = io.ReadAll(second); err != nil || !bytes.Equal(got, want) {
				t.Errorf("the second reader gives %.40q..., %v", got, err)
			}
			if refs := b.refs.Load(); refs != 1 {
				t.Errorf("the buffer has %d references, want 1, of the second reader", refs)
			}
			if err := second.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestReaderDoubleClose(t *testing.T) {
	b := NewBuffer(10)
	r := b.Reader()
	for range 3 {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if refs := b.refs.Load(); refs != 1 {
		t.Errorf("the buffer has %d references, want 1, of its creator", refs)
	}
	b.Release()
}

// A reader of a closed body must not return the bytes that the next request has written into the same memory.
func TestReadAfterClose(t *testing.T) {
	spool := NewSpool(nil)
	if _, err := spool.Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	defer spool.Release()
	buffer := NewBuffer(10)
	buffer.Bytes = append(buffer.Bytes, "question"...)
	defer buffer.Release()
	for name, r := range map[string]io.ReadCloser{"buffer": buffer.Reader(), "spool": spool.Open()} {
		t.Run(name, func(t *testing.T) {
			some := make([]byte, 3)
			if n, err := r.Read(some); n != 3 || err != nil || string(some) != "que" {
				t.Errorf("read %q, %v", some[:n], err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			if n, err := r.Read(some); n != 0 || err == nil || errors.Is(err, io.EOF) {
				t.Errorf("read %q, %v from a closed reader", some[:n], err)
			}
		})
	}
}

func TestConcurrentReaders(t *testing.T) {
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for round := range 200 {
				want := bytes.Repeat([]byte{byte('a' + i)}, 50+100*round)
				b := NewBuffer(len(want))
				b.Bytes = append(b.Bytes, want...)
				for range 3 {
					r := b.Reader()
					all.Go(func() {
						if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
							t.Errorf("got %.40q..., %v", got, err)
						}
						r.Close()
						r.Close()
					})
				}
				b.Release()
			}
		})
	}
	all.Wait()
}

func TestBufferSizes(t *testing.T) {
	before, last := 0, -1
	for bytes := 1; bytes <= largeBuffer; bytes += 509 {
		size, place := bufferSize(bytes)
		if size < bytes || size > smallBuffer && size > bytes+bytes/4 {
			t.Fatalf("%d bytes: a buffer of %d", bytes, size)
		}
		if size < before || place < last || (size == before) != (place == last) && bytes > 1 || place >= sizes {
			t.Fatalf("%d bytes: size %d, place %d", bytes, size, place)
		}
		before, last = size, place
	}
	if _, place := bufferSize(largeBuffer); place != sizes-1 {
		t.Errorf("the largest pooled buffer has index %d", place)
	}
	if _, place := bufferSize(largeBuffer + 1); place < sizes {
		t.Errorf("a buffer that is not pooled has index %d", place)
	}
	// A pooled buffer is found again, and is not used for a larger size.
	for _, bytes := range []int{1, smallBuffer + 1, 2 * smallBuffer, 2*smallBuffer + 1, 20 << 10, 20<<10 + 1, 1 << 20, largeBuffer} {
		b := NewBuffer(bytes)
		size, place := bufferSize(bytes)
		if cap(b.Bytes) < bytes || place >= 0 && (cap(b.Bytes) < size || cap(b.Bytes) > size) {
			t.Errorf("%d bytes: a buffer of %d, not %d", bytes, cap(b.Bytes), size)
		}
		b.Bytes = make([]byte, 0, cap(b.Bytes)+1) // as one that was rewritten in place of the buffer
		b.Release()
	}
}
