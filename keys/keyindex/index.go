// Package keyindex is an in-memory index that lists and searches the keys of all feeds, page by page, fast enough for a million
// keys.
//
// The keys are sorted and divided into chunks. A chunk contains the case-folded texts of its keys in one contiguous buffer,
// which is searched at memory speed, and next to it the few values that filters need, so that only the keys on the page itself
// are dereferenced. A change rebuilds the affected chunks and the list of chunks. Concurrent readers continue with the old
// list.
package keyindex

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// Query selects the keys to list. Zero fields do not restrict the result.
type Query struct {
	Text   string      // substring of the name, the ID, a source or the hint; case-insensitive
	State  keys.Reason // status of the key at Now: Allowed, DisabledKey, RevokedKey, UnusableKey, NotYetValid or Expired
	Source string      // one of the key's sources, exact match
	Feed   string      // name of the feed
	Now    time.Time   // required
	After  string      // cursor: Page.Next of the previous page
	Limit  int         // maximum number of keys on the page; 1 to 1000, default 50

	Sort    Sort // the zero value is ByCreated
	Reverse bool // the opposite order

	// LastUsed returns when a key was last used, in Unix minutes; 0: never. Required for ByLastUsed. It is called concurrently, and
	// possibly after Page has returned.
	LastUsed func(id string) uint32
}

// Page is one page of keys in the order of Query.Sort.
type Page struct {
	Keys  []*keys.Key // read-only
	Next  string      // cursor for the next page; empty on the last page
	Total int         // number of keys that match the query, on all pages

	// Incomplete means that the last use is not yet known for every key, or not the current one, because there are very many. Then the
	// order ByLastUsed is approximate for about a second.
	Incomplete bool
}

// ErrCursor means that Query.After is not a cursor from Page.Next.
var ErrCursor = errors.New("invalid cursor: start again without a cursor")

const (
	defaultLimit = 50
	maxLimit     = 1000
)

// Index is a searchable list of the keys of a store. It implements keys.Listener; register it with Store.Listen. It is safe
// for concurrent use. A page is a consistent snapshot: it neither waits for changes nor delays them.
type Index struct {
	writeMu    sync.Mutex  // held during KeysChanged
	refreshing atomic.Bool // a goroutine of refresh is running
	current    atomic.Pointer[snapshot]
}

// snapshot is the immutable list of all keys at one moment.
type snapshot struct {
	chunks []*chunk // not empty; all keys of a chunk are sorted before those of the next chunk
	feeds  feedIDs
}

// New returns an empty Catalog.
func New() *Index {
	c := new(Index)
	c.current.Store(&snapshot{feeds: feedIDs{}})
	return c
}

// KeysChanged implements keys.Listener.
func (c *Index) KeysChanged(out, in []*keys.Key) {
	c.writeMu.Lock()
	defer c.writeMu.Unlock()
	old := c.current.Load()
	feeds := old.feeds.with(in)
	c.current.Store(&snapshot{chunks: rebuild(old.chunks, sorted(out), sorted(in), feeds), feeds: feeds})
}

// Page returns one page. A cursor stays valid when keys are added, changed and removed: the page starts after the position at
// which the previous page ended. The only error is ErrCursor. A limit outside of its bounds is adjusted.
func (c *Index) Page(q Query) (Page, error) {
	if q.Limit <= 0 {
		q.Limit = defaultLimit
	}
	q.Limit = min(q.Limit, maxLimit)

	s := c.current.Load()
	m, possible := newMatcher(q, s.feeds)
	switch {
	case q.Sort != ByCreated:
		page, err := m.sortedPage(s.chunks, possible)
		if page.Incomplete {
			c.refresh(s.chunks, q.LastUsed)
		}
		return page, err
	case q.Reverse:
		return m.oldestPage(s.chunks, possible)
	default:
		return m.newestPage(s.chunks, possible)
	}
}
