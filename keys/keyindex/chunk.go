package keyindex

import (
	"maps"
	"math"
	"sort"
	"sync/atomic"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// chunk is a sequence of sorted keys, which is immutable except for its cache.
type chunk struct {
	entries []entry
	// text contains for each key, case-folded: name, ID and hint, each followed by endOfText; then the sources, each preceded
	// by endOfText and followed by endOfSource.
	text []byte
	used atomic.Pointer[lastUses] // cached; nil: not known
}

// entry contains what the filters need to know about a key.
type entry struct {
	key           *keys.Key
	end           uint32 // end of its texts
	from, expires uint32 // see bound
	feed          uint16 // index in feedIDs
	state         uint8  // a keys.State
	plainSources  bool   // folding does not change the sources, so comparing the folded text is exact
}

// bound returns a time bound in Unix seconds, limited to 32 bits; 0 means no bound.
func bound(t time.Time) uint32 {
	if t.IsZero() {
		return 0
	}
	return uint32(max(firstSecond, min(t.Unix(), lastSecond)))
}

const (
	firstSecond = 1
	lastSecond  = math.MaxUint32 // in 2106
)

// feedIDs maps the names of all feeds that have had keys to small numbers. It is immutable.
type feedIDs map[string]uint16

// overflowFeed is the shared number of all further feeds when no number is left.
const overflowFeed = math.MaxUint16

func (f feedIDs) with(all []*keys.Key) feedIDs {
	last, copied := "", false
	for i, k := range all {
		if i > 0 && k.Feed == last {
			continue
		}
		last = k.Feed
		if _, known := f[last]; known || len(f) >= overflowFeed {
			continue
		}
		if !copied {
			f, copied = maps.Clone(f), true
		}
		f[last] = uint16(len(f))
	}
	return f
}

func (f feedIDs) of(name string) uint16 {
	if n, known := f[name]; known {
		return n
	}
	return overflowFeed
}

// add appends a key to a chunk under construction.
func (c *chunk) add(k *keys.Key, feeds feedIDs) {
	for _, text := range [...]string{k.Name, k.ID, k.Hint} {
		c.text = append(appendFolded(c.text, text), endOfText)
	}
	plain := true
	for _, source := range k.SourceIDs() {
		c.text = append(c.text, endOfText)
		start := len(c.text)
		c.text = appendFolded(c.text, source)
		plain = plain && string(c.text[start:]) == source
		c.text = append(c.text, endOfSource)
	}
	c.entries = append(c.entries, entry{
		key: k, end: uint32(len(c.text)), from: bound(k.NotBefore), expires: bound(k.Expires),
		feed: feeds.of(k.Feed), state: uint8(k.State), plainSources: plain,
	})
}

// copyEntries appends n entries of another chunk, from index i on, to a chunk under construction.
func (c *chunk) copyEntries(from *chunk, i, n int) {
	shift := len(c.text) - from.start(i)
	c.text = append(c.text, from.text[from.start(i):from.start(i+n)]...)
	for _, e := range from.entries[i : i+n] {
		e.end = uint32(int(e.end) + shift)
		c.entries = append(c.entries, e)
	}
}

// start returns the offset at which the texts of an entry start.
func (c *chunk) start(i int) int {
	if i == 0 {
		return 0
	}
	return int(c.entries[i-1].end)
}

func (c *chunk) first() position { return positionOf(c.entries[0].key) }

// search returns the index of the first entry at or after a position, and whether it is exactly at that position.
func (c *chunk) search(p position) (i int, found bool) {
	i = sort.Search(len(c.entries), func(i int) bool { return comparePositions(positionOf(c.entries[i].key), p) >= 0 })
	return i, i < len(c.entries) && c.entries[i].key.ID == p.id && comparePositions(positionOf(c.entries[i].key), p) == 0
}

// chunkFor returns the index of the chunk that a position belongs to: the last chunk that starts at or before it, or else the
// first chunk.
func chunkFor(chunks []*chunk, p position) int {
	return max(1, sort.Search(len(chunks), func(i int) bool { return comparePositions(chunks[i].first(), p) > 0 })) - 1
}
