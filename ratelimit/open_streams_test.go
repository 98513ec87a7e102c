package ratelimit

import (
	"maps"
	"testing"
)

// releases counts the released slots by visitor.
type releases map[[16]byte]int

func (r releases) Release(_ string, visitor [16]byte, release func()) {
	release()
	r[visitor]++
}

func TestOpenStreams(t *testing.T) {
	l, r := newLimiter(10), releases{}
	a, _ := l.Acquire("k", visitor(1), 0, 0)
	a.OnRelease(r)
	b, _ := l.Acquire("k", visitor(2), 0, 0)
	l.Acquire("k", visitor(2), 0, 0)
	l.Acquire("other", visitor(2), 0, 0)
	if open := l.KeysWithStreams(); !maps.Equal(open, map[string]int{"k": 3, "other": 1}) {
		t.Errorf("%v", open)
	}
	a.Release()
	a.Release()
	b.Release()
	new(Slot).OnRelease(r)
	if total, visitors := l.Streams("k"); total != 1 || !maps.Equal(visitors, map[[16]byte]int{visitor(2).id: 1}) {
		t.Errorf("%d, %v", total, visitors)
	}
	if total, visitors := l.Streams("unknown"); total != 0 || visitors != nil {
		t.Errorf("%d, %v", total, visitors)
	}
	if !maps.Equal(r, releases{visitor(1).id: 1}) {
		t.Errorf("%v", r)
	}
}
