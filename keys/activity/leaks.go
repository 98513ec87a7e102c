package activity

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/docsgate/docsgate/keys"
)

// maxLeaks is the number of leaked keys that are remembered. The least recently reported one is forgotten.
const maxLeaks = 10_000

// Leak says that a browser has presented a secret key, which must therefore be in a web page.
type Leak struct {
	Since  time.Time
	Origin string // of the first such page; "" if the browser has sent none, or the text was not an origin
}

// Leaks has the keys whose current token has leaked. It is safe for concurrent use.
type Leaks struct {
	mu    sync.Mutex
	byKey *simplelru.LRU[string, leak]
}

type leak struct {
	Leak
	token keys.Digest
}

func newLeaks(most int) *Leaks { return &Leaks{byKey: newLRU[string, leak](most)} }

// Report records that the current token of a key has leaked. It reports whether that was not known. origin is what the client has
// sent, and is stored only if it is an origin.
func (l *Leaks) Report(key *keys.Key, origin string, now time.Time) (_ Leak, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if known, ok := l.byKey.Get(key.ID); ok && known.token == key.Digest {
		return known.Leak, false
	}
	found := leak{Leak{now, pageOrigin(origin)}, key.Digest}
	l.byKey.Add(key.ID, found)
	return found.Leak, true
}

// Of returns the leak of a key's current token. ok is false if none is known.
func (l *Leaks) Of(key *keys.Key) (_ Leak, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known, ok := l.byKey.Peek(key.ID)
	if !ok || known.token != key.Digest {
		return Leak{}, false
	}
	return known.Leak, true
}
