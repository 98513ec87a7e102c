// Package catalog lists and searches keys of all feeds, page by page, fast enough for a million.
//
// The keys stand in chunks, sorted. A chunk has the lower-cased texts of its keys in one piece, which is searched at the
// speed of memory, and beside it the little that filters ask, so that no key itself is looked at but those on the page. A
// change builds the chunks anew that it touches, and a new list of chunks; whoever is reading goes on with the old one.
package catalog

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// Query says which keys to list. Zero fields do not restrict.
type Query struct {
	Text   string      // stands in the name, the id, a source or the hint; case does not matter
	State  keys.Reason // what the key is at Now: Allowed, DisabledKey, RevokedKey, UnusableKey, NotYetValid or Expired
	Source string      // one of the sources of the key, exactly
	Feed   string      // name of the feed
	Now    time.Time   // required
	After  string      // cursor: Page.Next of the page before
	Limit  int         // keys on the page; 1 to 1000, default 50
}

// Page is one page of keys: the newest first (Key.Created), keys of no known age at the end, equals by id.
type Page struct {
	Keys  []*keys.Key // to be read only
	Next  string      // cursor for the next page; empty: this is the last
	Total int         // keys that the query matches, on all pages
}

// ErrCursor says that Query.After is none of the cursors that pages give.
var ErrCursor = errors.New("this is no cursor of a page: begin again without one")

const (
	defaultLimit = 50
	maxLimit     = 1000
)

// Catalog is a listing of the keys of a store. It implements keys.Listener: give it to Store.Listen. It is safe for
// concurrent use; a page is of one moment, and neither waits for changes nor holds them up.
type Catalog struct {
	writing sync.Mutex // held by KeysChanged
	current atomic.Pointer[snapshot]
}

// snapshot is all keys of one moment. It never changes.
type snapshot struct {
	chunks []*chunk // none is empty; the keys of each stand before those of the next
	feeds  feedNumbers
}

// New returns an empty catalog.
func New() *Catalog {
	c := new(Catalog)
	c.current.Store(&snapshot{feeds: feedNumbers{}})
	return c
}

// KeysChanged implements keys.Listener.
func (c *Catalog) KeysChanged(out, in []*keys.Key) {
	c.writing.Lock()
	defer c.writing.Unlock()
	old := c.current.Load()
	feeds := old.feeds.with(in)
	c.current.Store(&snapshot{chunks: rebuild(old.chunks, sorted(out), sorted(in), feeds), feeds: feeds})
}

// Page returns one page. A cursor stays good when keys are added, changed and removed: the page begins after the place where
// the page before ended. The only error is ErrCursor. A limit out of bounds is brought into them.
func (c *Catalog) Page(q Query) (Page, error) {
	var after position
	if q.After != "" {
		var err error
		if after, err = parseCursor(q.After); err != nil {
			return Page{}, err
		}
	}
	if q.Limit <= 0 {
		q.Limit = defaultLimit
	}
	q.Limit = min(q.Limit, maxLimit)

	s := c.current.Load()
	m, possible := newMatcher(q, s.feeds)
	if !possible {
		return Page{}, nil
	}
	matches, total := m.countAll(s.chunks)
	page := Page{Total: total}
	first := 0
	if q.After != "" {
		first = chunkFor(s.chunks, after)
	}
	for i := first; i < len(s.chunks) && len(page.Keys) <= q.Limit; i++ {
		if matches[i] == 0 {
			continue
		}
		m.each(s.chunks[i], func(e *entry) bool {
			if q.After == "" || comparePositions(positionOf(e.key), after) > 0 {
				page.Keys = append(page.Keys, e.key)
			}
			return len(page.Keys) <= q.Limit // one more tells that there is a next page
		})
	}
	if len(page.Keys) > q.Limit {
		page.Keys = page.Keys[:q.Limit]
		page.Next = positionOf(page.Keys[q.Limit-1]).cursor()
	}
	return page, nil
}
