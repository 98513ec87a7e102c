package catalog

import (
	"maps"
	"math"
	"sort"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// chunk is a run of keys in their order. It never changes.
type chunk struct {
	entries []entry
	// text has for each key: name, id and hint, each with endOfText after it, then the sources, each with endOfText before
	// and endOfSource after it; all folded.
	text []byte
}

// entry is what is known of a key without looking at it.
type entry struct {
	key           *keys.Key
	end           uint32 // of its texts
	from, expires uint32 // see bound
	feed          uint16 // see feedNumbers
	state         uint8  // a keys.State
	plainSources  bool   // the sources are what fold makes of them, so that the text tells them exactly
}

// bound is a bound in time in whole Unix seconds, limited to 32 bits; 0: none.
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

// feedNumbers are the feeds that keys were of, with short numbers. It never changes.
type feedNumbers map[string]uint16

// otherFeed is the number of all feeds for which there was none left.
const otherFeed = math.MaxUint16

func (f feedNumbers) with(all []*keys.Key) feedNumbers {
	last, copied := "", false
	for i, k := range all {
		if i > 0 && k.Feed == last {
			continue
		}
		last = k.Feed
		if _, known := f[last]; known || len(f) >= otherFeed {
			continue
		}
		if !copied {
			f, copied = maps.Clone(f), true
		}
		f[last] = uint16(len(f))
	}
	return f
}

func (f feedNumbers) of(name string) uint16 {
	if n, known := f[name]; known {
		return n
	}
	return otherFeed
}

// add appends a key to a chunk that is being made.
func (c *chunk) add(k *keys.Key, feeds feedNumbers) {
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

// take appends entries of another chunk to a chunk that is being made.
func (c *chunk) take(from *chunk, i, n int) {
	moved := len(c.text) - from.start(i)
	c.text = append(c.text, from.text[from.start(i):from.start(i+n)]...)
	for _, e := range from.entries[i : i+n] {
		e.end = uint32(int(e.end) + moved)
		c.entries = append(c.entries, e)
	}
}

// start returns where the texts of an entry begin.
func (c *chunk) start(i int) int {
	if i == 0 {
		return 0
	}
	return int(c.entries[i-1].end)
}

func (c *chunk) first() position { return positionOf(c.entries[0].key) }

// place returns the index of the first entry that does not stand before a position, and whether it stands just there.
func (c *chunk) place(p position) (i int, there bool) {
	i = sort.Search(len(c.entries), func(i int) bool { return comparePositions(positionOf(c.entries[i].key), p) >= 0 })
	return i, i < len(c.entries) && c.entries[i].key.ID == p.id && comparePositions(positionOf(c.entries[i].key), p) == 0
}

// chunkFor returns the index of the chunk that a position belongs to: the last that begins at it or before it, else the
// first.
func chunkFor(chunks []*chunk, p position) int {
	return max(1, sort.Search(len(chunks), func(i int) bool { return comparePositions(chunks[i].first(), p) > 0 })) - 1
}
