package ratelimit

// minShrink is the number of visitors up to which a table keeps its memory when visitors are dropped.
const minShrink = 256

// table has the counters of a key's visitors under one rate. The counters are also in a heap, so that the one that is
// replenished first is known: it is the first to be dropped, and costs least when it is dropped too early.
//
// The first 4-ary heap item is at 0, and the children of i are from 4*i+1 to 4*i+4.
type table struct {
	rate    Rate
	created int64
	index   map[visitorID]uint32 // positions in ids
	ids     []idItem
	heap    []heapItem
	most    int // visitors since the memory was last allocated
}

type idItem struct {
	id  visitorID
	pos uint32 // in heap
}

type heapItem struct {
	arrival
	item uint32 // position in ids
}

func newTable(r Rate, now int64) *table {
	return &table{rate: r, created: now, index: map[visitorID]uint32{}}
}

// find returns the position of a visitor's counter in ids.
func (t *table) find(id visitorID) (item uint32, ok bool) {
	item, ok = t.index[id]
	return item, ok
}

func (t *table) arrival(item uint32) arrival { return t.heap[t.ids[item].pos].arrival }

// update stores a later arrival.
func (t *table) update(item uint32, a arrival) {
	pos := t.ids[item].pos
	t.heap[pos].arrival = a
	t.down(t.up(pos))
}

// rename gives a counter another visitor ID, which the table does not have.
func (t *table) rename(item uint32, id visitorID) {
	delete(t.index, t.ids[item].id)
	t.ids[item].id = id
	t.index[id] = item
}

// insert adds a visitor that the table does not have.
func (t *table) insert(id visitorID, a arrival) {
	item, pos := uint32(len(t.ids)), uint32(len(t.heap))
	t.ids = append(t.ids, idItem{id: id, pos: pos})
	t.heap = append(t.heap, heapItem{arrival: a, item: item})
	t.index[id] = item
	t.most = max(t.most, len(t.ids))
	t.up(pos)
}

// removeFirst removes the counter that is replenished first. The table must not be empty.
func (t *table) removeFirst() {
	item := t.heap[0].item
	last := uint32(len(t.heap) - 1)
	t.set(0, t.heap[last])
	t.heap = t.heap[:last]
	if last > 0 {
		t.down(0)
	}

	delete(t.index, t.ids[item].id)
	if item != last {
		moved := t.ids[last]
		t.ids[item] = moved
		t.index[moved.id] = item
		t.heap[moved.pos].item = item
	}
	t.ids = t.ids[:last]

	if len(t.ids) < t.most/4 && t.most > minShrink {
		t.shrink()
	}
}

// shrink releases memory: maps and slices keep that of their largest size.
func (t *table) shrink() {
	t.most = max(2*len(t.ids), minShrink) // so that it neither grows nor shrinks again soon
	index := make(map[visitorID]uint32, t.most)
	for item := range t.ids {
		index[t.ids[item].id] = uint32(item)
	}
	t.index = index
	t.ids = append(make([]idItem, 0, t.most), t.ids...)
	t.heap = append(make([]heapItem, 0, t.most), t.heap...)
}

func (t *table) set(pos uint32, h heapItem) {
	t.heap[pos] = h
	t.ids[h.item].pos = pos
}

// up moves the item at pos towards the root until the heap is in order, and returns its new position.
func (t *table) up(pos uint32) uint32 {
	h := t.heap[pos]
	for pos > 0 {
		parent := (pos - 1) / 4
		if t.heap[parent].ns <= h.ns {
			break
		}
		t.set(pos, t.heap[parent])
		pos = parent
	}
	t.set(pos, h)
	return pos
}

// down moves the item at pos away from the root until the heap is in order.
func (t *table) down(pos uint32) {
	h, n := t.heap[pos], uint32(len(t.heap))
	for {
		first := 4*pos + 1
		if first >= n {
			break
		}
		least := first
		for child := first + 1; child < min(first+4, n); child++ {
			if t.heap[child].ns < t.heap[least].ns {
				least = child
			}
		}
		if t.heap[least].ns >= h.ns {
			break
		}
		t.set(pos, t.heap[least])
		pos = least
	}
	t.set(pos, h)
}
