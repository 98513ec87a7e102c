package blocklist

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 1, 12, 30, 0, 0, time.UTC)

const maxAge = 30 * 24 * time.Hour

var one, two = Key{1}, Key{2}

// add blocks a conversation that was not blocked.
func add(t testing.TB, l *List, key Key, id string) {
	t.Helper()
	if added, err := l.Add(t.Context(), key, id, now); !added || err != nil {
		t.Fatalf("%s: added %v, %v", id, added, err)
	}
}

func TestAddAndRemove(t *testing.T) {
	l := New(maxAge)
	if l.Blocked(t.Context(), "a") {
		t.Error("blocked in a new list")
	}
	add(t, l, one, "a")
	if added, err := l.Add(t.Context(), two, "a", now); added || err != nil {
		t.Errorf("added twice: %v", err)
	}
	if !l.Blocked(t.Context(), "a") || l.Blocked(t.Context(), "A") || l.Blocked(t.Context(), "") {
		t.Error("the wrong conversation is blocked")
	}
	l.Remove("a")
	l.Remove("a")
	if l.Blocked(t.Context(), "a") || l.Len() != 0 || len(l.perKey) != 0 {
		t.Error("still blocked")
	}
	add(t, l, two, "a")
}

// A full list blocks nothing else, so the conversation must not be used. No entry is dropped.
func TestLimits(t *testing.T) {
	l := New(maxAge)
	l.most, l.mostPerKey = 5, 3
	for i := range 3 {
		add(t, l, one, fmt.Sprint(i))
	}
	if added, err := l.Add(t.Context(), one, "more", now); added || !errors.Is(err, ErrFull) {
		t.Errorf("over the limit of a key: %v, %v", added, err)
	}
	add(t, l, two, "a")
	add(t, l, two, "b")
	if added, err := l.Add(t.Context(), two, "more", now); added || !errors.Is(err, ErrFull) {
		t.Errorf("over the limit of the list: %v, %v", added, err)
	}
	for _, id := range []string{"0", "1", "2", "a", "b"} {
		if !l.Blocked(t.Context(), id) {
			t.Errorf("%s is not blocked any more", id)
		}
	}
	l.Remove("0")
	add(t, l, one, "more")
}

func TestExpire(t *testing.T) {
	l := New(maxAge)
	add(t, l, one, "a")
	l.Expire(now.Add(maxAge + time.Hour))
	if !l.Blocked(t.Context(), "a") {
		t.Error("expired although an ID may be valid")
	}
	l.Expire(now.Add(maxAge + 3*time.Hour))
	if l.Len() != 0 || len(l.perKey) != 0 {
		t.Error("not expired")
	}
}

func TestOneOfManyAdds(t *testing.T) {
	for name, l := range map[string]*List{"memory": New(maxAge), "file": open(t, path(t))} {
		t.Run(name, func(t *testing.T) {
			var all sync.WaitGroup
			var added [50]atomic.Int32
			for range 8 {
				all.Go(func() {
					for i := range added {
						ok, err := l.Add(context.Background(), one, fmt.Sprint(i), now)
						if err != nil {
							t.Error(err)
						}
						if ok {
							added[i].Add(1)
						}
					}
				})
			}
			all.Wait()
			for i := range added {
				if n := added[i].Load(); n != 1 {
					t.Errorf("%d was added %d times", i, n)
				}
			}
		})
	}
}
