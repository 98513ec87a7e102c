package keyindex

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/docsgate/docsgate/keys"
)

// A chunk has at most maxChunk keys: a change of one key copies those, and the list of all chunks. If fewer than minChunk keys
// remain after a change, they are merged into the next chunk. The entries of a full chunk and one word of the allocator fit
// exactly into 12 KiB.
const (
	maxChunk = 511
	minChunk = 128
)

// mergeItem is one key of a chunk that will be built: an entry of an old chunk, or a new key.
type mergeItem struct {
	from *chunk // nil: key is new
	i    int32
	key  *keys.Key
}

// builder builds a new list of chunks: unchanged old chunks, and new chunks of the items between them.
type builder struct {
	chunks []*chunk // nil: will be built by a task
	todo   []task
	items  []mergeItem // not yet assigned to a task
}

// task is one chunk that will be built.
type task struct {
	at    int // index in the list of chunks
	items []mergeItem
}

// rebuild returns the chunks after a change. It merges the old chunks with the removed and added keys, which are all in the
// same order.
func rebuild(old []*chunk, out, in []positionedKey, feeds feedIDs) []*chunk {
	b := &builder{chunks: make([]*chunk, 0, len(old)+1+len(in)/maxChunk)}
	if len(old) == 0 {
		b.merge(new(chunk), nil, in)
		b.flush()
		return b.build(feeds)
	}
	for i := 0; i < len(old); i++ {
		nextChanged := len(old) // index of the next chunk that changes
		switch {
		case len(out) > 0 && len(in) > 0:
			nextChanged = min(chunkFor(old, out[0].position), chunkFor(old, in[0].position))
		case len(out) > 0:
			nextChanged = chunkFor(old, out[0].position)
		case len(in) > 0:
			nextChanged = chunkFor(old, in[0].position)
		}
		if nextChanged > i {
			if n := len(b.items); n > 0 && n < minChunk {
				b.merge(old[i], nil, nil)
				continue
			}
			b.flush()
			b.chunks = append(b.chunks, old[i:nextChanged]...)
			i = nextChanged - 1
			continue
		}
		outHere, inHere := out, in // the last chunk takes the rest
		if i+1 < len(old) {
			next := old[i+1].first()
			outHere, inHere = before(out, next), before(in, next)
		}
		out, in = out[len(outHere):], in[len(inHere):]
		b.merge(old[i], outHere, inHere)
		if len(b.items) >= minChunk {
			b.flush()
		}
	}
	b.flush()
	return b.build(feeds)
}

// before returns the part of a sorted list before a position.
func before(list []positionedKey, p position) []positionedKey {
	i, _ := slices.BinarySearchFunc(list, p, func(e positionedKey, p position) int { return comparePositions(e.position, p) })
	return list[:i]
}

// merge appends the entries of a chunk as items, after applying a change.
func (b *builder) merge(c *chunk, out, in []positionedKey) {
	removed := make(map[int]bool, len(out))
	for _, o := range out {
		if i, found := c.search(o.position); found {
			removed[i] = true
		}
	}
	b.items = slices.Grow(b.items, len(c.entries)+len(in))
	next := 0
	copyUntil := func(until int) {
		for ; next < until; next++ {
			if !removed[next] {
				b.items = append(b.items, mergeItem{from: c, i: int32(next)})
			}
		}
	}
	for _, k := range in {
		i, found := c.search(k.position)
		copyUntil(i)
		if found {
			removed[i] = true
		}
		b.items = append(b.items, mergeItem{key: k.key})
	}
	copyUntil(len(c.entries))
}

// flush assigns the items to tasks: as few as possible, of equal size.
func (b *builder) flush() {
	for n := (len(b.items) + maxChunk - 1) / maxChunk; n > 0; n-- {
		size := (len(b.items) + n - 1) / n
		b.todo = append(b.todo, task{len(b.chunks), b.items[:size:size]})
		b.chunks = append(b.chunks, nil)
		b.items = b.items[size:]
	}
	b.items = nil
}

// build builds the chunks of all tasks, in parallel if there are many, as at startup.
func (b *builder) build(feeds feedIDs) []*chunk {
	workers := min(runtime.GOMAXPROCS(0), 1+len(b.todo)/8)
	var next atomic.Int64
	work := func() {
		for i := next.Add(1) - 1; i < int64(len(b.todo)); i = next.Add(1) - 1 {
			b.chunks[b.todo[i].at] = buildChunk(b.todo[i].items, feeds)
		}
	}
	var wg sync.WaitGroup
	for range workers - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	return b.chunks
}

func buildChunk(items []mergeItem, feeds feedIDs) *chunk {
	size := 0
	for _, it := range items {
		size += it.textSize()
	}
	c := &chunk{entries: make([]entry, 0, len(items)), text: make([]byte, 0, size)}
	for len(items) > 0 {
		if first := items[0]; first.from != nil {
			n := 1 // entries that are consecutive in their old chunk, too
			for n < len(items) && items[n].from == first.from && items[n].i == first.i+int32(n) {
				n++
			}
			c.copyEntries(first.from, int(first.i), n)
			items = items[n:]
			continue
		}
		c.add(items[0].key, feeds)
		items = items[1:]
	}
	if len(c.text) > size { // folding has made a text longer, so append has allocated more than needed
		c.text = slices.Clone(c.text)
	}
	return c
}

// textSize returns the length of the key's texts, assuming that folding does not change their length.
func (it *mergeItem) textSize() int {
	if it.from != nil {
		return int(it.from.entries[it.i].end) - it.from.start(int(it.i))
	}
	k := it.key
	size := len(k.Name) + len(k.ID) + len(k.Hint) + 3
	for _, source := range k.SourceIDs() {
		size += len(source) + 2
	}
	return size
}
