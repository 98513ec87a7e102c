package keyindex

import (
	"bytes"
	"cmp"
	"container/heap"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// Sort is the order of the keys on a page. Keys that are equal in it are sorted by ID.
type Sort uint8

// The orders.
const (
	ByCreated  Sort = iota // the newest first; keys without a creation time last
	ByName                 // case-folded
	ByExpires              // the earliest expiry first; keys without an expiry last
	ByLastUsed             // the last used first, see Query.LastUsed; unused keys last
)

// sortKey is the position of a key in an order other than ByCreated. The texts are case-folded.
type sortKey struct {
	number   int64 // of ByExpires and ByLastUsed
	name, id []byte
	exactID  string // decides between IDs that differ only in case; "": that of the key
	key      *keys.Key
}

func (a *sortKey) exact() string {
	if a.key != nil {
		return a.key.ID
	}
	return a.exactID
}

func compareSortKeys(a, b *sortKey) int {
	if c := cmp.Compare(a.number, b.number); c != 0 {
		return c
	}
	if c := bytes.Compare(a.name, b.name); c != 0 {
		return c
	}
	if c := bytes.Compare(a.id, b.id); c != 0 {
		return c
	}
	return cmp.Compare(a.exact(), b.exact())
}

// selection selects the first keys of an order, without sorting all of them: it is a heap with the last one at the root.
type selection struct {
	q     *Query
	size  int
	after *sortKey // nil: from the first one
	found []sortKey
}

func (s *selection) compare(a, b *sortKey) int {
	if s.q.Reverse {
		return compareSortKeys(b, a)
	}
	return compareSortKeys(a, b)
}

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (s *selection) Len() int           { return len(s.found) }
func (s *selection) Less(i, j int) bool { return s.compare(&s.found[i], &s.found[j]) > 0 }
func (s *selection) Swap(i, j int)      { s.found[i], s.found[j] = s.found[j], s.found[i] }
func (s *selection) Push(x any)         { s.found = append(s.found, x.(sortKey)) }
func (s *selection) Pop() any           { panic("not used") }

func (s *selection) add(k *sortKey) {
	switch {
	case s.after != nil && s.compare(k, s.after) <= 0:
	case len(s.found) < s.size:
		heap.Push(s, *k)
	case s.compare(k, &s.found[0]) < 0:
		s.found[0] = *k
		heap.Fix(s, 0)
	}
}

// sortKey returns the position of entry i of a chunk. used may be nil.
func (c *chunk) sortKey(i int, order Sort, used *lastUses) sortKey {
	e := &c.entries[i]
	text := c.text[c.start(i):e.end]
	nameEnd := bytes.IndexByte(text, endOfText)
	id := text[nameEnd+1:]
	k := sortKey{id: id[:bytes.IndexByte(id, endOfText)], key: e.key}
	switch order {
	case ByCreated: // the chunks have this order
	case ByName:
		k.name = text[:nameEnd]
	case ByExpires:
		if k.number = int64(e.expires); k.number == 0 {
			k.number = math.MaxInt64
		}
	case ByLastUsed:
		if used != nil {
			k.number = -int64(used.minutes[i])
		}
	}
	return k
}

// first returns the first keys after a position, in order, at most n, and the number of all matches. stale reports whether the last
// use of some of them is not known. It uses all processors.
func (m *matcher) first(chunks []*chunk, after *sortKey, n int) (found []sortKey, total int, stale bool) {
	var next, sum atomic.Int64
	var anyStale atomic.Bool
	var mu sync.Mutex
	deadline := time.Now().Add(lookupBudget)
	all := selection{q: &m.Query, size: n}
	work := func() {
		part, matches := selection{q: &m.Query, size: n, after: after}, int64(0)
		for i := next.Add(1) - 1; i < int64(len(chunks)); i = next.Add(1) - 1 {
			var used *lastUses
			if m.Sort == ByLastUsed {
				used = m.lastUses(chunks[i], deadline, &anyStale)
			}
			m.each(chunks[i], func(entry int) bool {
				matches++
				k := chunks[i].sortKey(entry, m.Sort, used)
				part.add(&k)
				return true
			})
		}
		sum.Add(matches)
		mu.Lock()
		defer mu.Unlock()
		for i := range part.found {
			all.add(&part.found[i])
		}
	}
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), 1+len(chunks)/32) - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	slices.SortFunc(all.found, func(a, b sortKey) int { return all.compare(&a, &b) })
	return all.found, int(sum.Load()), anyStale.Load()
}

// sortedPage is Page for an order other than ByCreated.
func (m *matcher) sortedPage(chunks []*chunk, possible bool) (Page, error) {
	var after *sortKey
	if m.After != "" {
		var err error
		if after, err = parseSortCursor(m.After, m.Sort); err != nil {
			return Page{}, err
		}
	}
	if !possible {
		return Page{}, nil
	}
	found, total, stale := m.first(chunks, after, m.Limit+1) // one more, to know whether there is a next page
	page := Page{Total: total, Incomplete: stale}
	for i := range found[:min(len(found), m.Limit)] {
		page.Keys = append(page.Keys, found[i].key)
	}
	if len(found) > m.Limit {
		page.Next = found[m.Limit-1].cursor(m.Sort)
	}
	return page, nil
}

// sortCursorVersion distinguishes the cursors of the other orders from that of ByCreated. Such a cursor has the order, the number,
// the name, endOfText, the ID, and a checksum.
const (
	sortCursorVersion = 2
	sortCursorBytes   = 1 + 1 + 8 + 1 + 4
)

func (a *sortKey) cursor(order Sort) string {
	b := append(make([]byte, 0, sortCursorBytes+len(a.name)+len(a.id)), sortCursorVersion, byte(order))
	b = binary.BigEndian.AppendUint64(b, uint64(a.number))
	b = append(append(b, a.name...), endOfText)
	b = append(b, a.exact()...)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseSortCursor(s string, order Sort) (*sortKey, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) < sortCursorBytes || b[0] != sortCursorVersion || Sort(b[1]) != order {
		return nil, ErrCursor
	}
	body, sum := b[:len(b)-4], b[len(b)-4:]
	name, id, ok := bytes.Cut(body[10:], []byte{endOfText})
	if crc32.ChecksumIEEE(body) != binary.BigEndian.Uint32(sum) || !ok {
		return nil, ErrCursor
	}
	return &sortKey{
		number: int64(binary.BigEndian.Uint64(body[2:])), name: name, id: appendFolded(nil, string(id)), exactID: string(id),
	}, nil
}
