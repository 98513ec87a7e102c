package keyindex

import (
	"bytes"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/docsgate/docsgate/keys"
)

// matcher is a query that is prepared for matching a million keys.
type matcher struct {
	Query
	text   []byte // folded; empty: any
	source []byte // folded, with its separators; empty: any
	plain  bool   // folding does not change the source
	feed   uint16

	second uint32 // Now in whole seconds
	exact  bool   // the precision of seconds is not sufficient: check each key itself
}

// newMatcher returns possible = false if no key can match.
func newMatcher(q Query, feeds feedIDs) (_ *matcher, possible bool) {
	m := &matcher{Query: q, text: []byte(fold(q.Text)), feed: feeds.of(q.Feed)}
	if q.Source != "" {
		folded := fold(q.Source)
		m.plain = folded == q.Source
		m.source = append(append([]byte{endOfText}, folded...), endOfSource)
	}
	if seconds := q.Now.Unix(); seconds <= firstSecond || seconds >= lastSecond {
		m.exact = true
	} else {
		m.second = uint32(seconds)
	}
	return m, q.Feed == "" || m.feed != overflowFeed || len(feeds) >= overflowFeed
}

// countAll returns the number of matches in each chunk and in total. It uses all processors, for some milliseconds.
func (m *matcher) countAll(chunks []*chunk) (counts []uint16, total int) {
	counts = make([]uint16, len(chunks))
	var next, sum atomic.Int64
	work := func() {
		n := int64(0)
		for i := next.Add(1) - 1; i < int64(len(chunks)); i = next.Add(1) - 1 {
			m.each(chunks[i], func(int) bool {
				counts[i]++
				return true
			})
			n += int64(counts[i])
		}
		sum.Add(n)
	}
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), 1+len(chunks)/32) - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	return counts, int(sum.Load())
}

// each calls yield with the index of each matching entry of a chunk, until yield returns false.
func (m *matcher) each(c *chunk, yield func(i int) bool) {
	needle, other := m.text, m.source
	if len(needle) == 0 {
		needle, other = m.source, nil
	}
	for i, at := 0, 0; i < len(c.entries); i++ {
		if len(needle) > 0 {
			hit := index(c.text[at:], needle)
			if hit < 0 {
				return
			}
			for hit += at; int(c.entries[i].end) <= hit; i++ {
			}
			at = int(c.entries[i].end)
		}
		e := &c.entries[i]
		if m.allows(e) && (len(other) == 0 || bytes.Contains(c.text[c.start(i):e.end], other)) && !yield(i) {
			return
		}
	}
}

// index is like bytes.Index, which is slow for needles longer than a vector register, but first searches for a short prefix.
func index(text, needle []byte) int {
	const short = 32
	if len(needle) > short && !bytes.Contains(text, needle[:short]) {
		return -1
	}
	return bytes.Index(text, needle)
}

// allows checks all filters except the texts, and the exact spelling of the source after its folded form was found.
func (m *matcher) allows(e *entry) bool {
	switch {
	case m.Feed != "" && (e.feed != m.feed || e.feed == overflowFeed && e.key.Feed != m.Feed):
		return false
	case m.State != "" && m.status(e) != m.State:
		return false
	case len(m.source) == 0:
		return true
	case e.plainSources:
		return m.plain
	default:
		return slices.Contains(e.key.SourceIDs(), m.Source)
	}
}

// status returns Key.Standing without dereferencing the key, unless the precision of seconds is not sufficient.
func (m *matcher) status(e *entry) keys.Reason {
	if keys.State(e.state) == keys.Active && e.from|e.expires == 0 {
		return keys.Allowed
	}
	switch keys.State(e.state) {
	case keys.Active:
	case keys.Revoked:
		return keys.RevokedKey
	case keys.BindingUnavailable:
		return keys.UnusableKey
	default:
		return keys.DisabledKey
	}
	switch {
	case m.exact || e.from == m.second || e.expires == m.second:
		return e.key.Status(m.Now)
	case e.from > m.second:
		return keys.NotYetValid
	case e.expires != 0 && e.expires < m.second:
		return keys.Expired
	default:
		return keys.Allowed
	}
}
