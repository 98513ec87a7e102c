package usage

import "sync/atomic"

// slab is how counters are allocated: some at a time, so that a number says where one is. One more would be too much for the
// 2 KiB that the allocator gives, since it needs a word itself.
type slab [slabCounters]counter

const (
	slabCounters = 1<<slabBits - 1
	slabBits     = 5
)

// table finds counters by id. It grows and never shrinks, so an open hash table of their numbers will do: finding one takes
// no lock and no allocation, which no map of the standard library can do for a string. What is put in is seen by those who
// hold the table; a table that is too full is copied, and who still looks in the old one asks again under the lock.
type table struct {
	slots []atomic.Uint32        // places of counters, or 0; a power of two; at least a quarter is empty
	slabs []atomic.Pointer[slab] // for as many counters as there can be; nil: not yet needed
	used  uint32                 // counters; guarded by the lock of the shard
}

const firstTable = 8

func newTable(slots int) *table {
	return &table{
		slots: make([]atomic.Uint32, slots),
		slabs: make([]atomic.Pointer[slab], 3*slots/4/slabCounters+1),
	}
}

// placeOf is the place of a counter by its number: its slab, and in the lower bits one more than its index there.
func placeOf(n uint32) uint32 { return n/slabCounters<<slabBits | (n%slabCounters + 1) }

// at returns the counter at a place.
func (t *table) at(place uint32) *counter {
	return &t.slabs[place>>slabBits].Load()[place&(1<<slabBits-1)-1]
}

func (t *table) find(hash uint64, id string) *counter {
	for i := hash; ; i++ {
		place := t.slots[i&uint64(len(t.slots)-1)].Load()
		if place == 0 {
			return nil
		}
		if c := t.at(place); c.id == id {
			return c
		}
	}
}

// with returns the table with one more counter, and that: itself, or a bigger copy. The caller holds the lock of the shard.
func (t *table) with(id string, hash func(id string) uint64) (*table, *counter) {
	if 4*(int(t.used)+1) > 3*len(t.slots) {
		bigger := newTable(2 * len(t.slots))
		for i := range t.slabs {
			bigger.slabs[i].Store(t.slabs[i].Load())
		}
		for ; bigger.used < t.used; bigger.used++ {
			place := placeOf(bigger.used)
			bigger.put(place, hash(bigger.at(place).id))
		}
		t = bigger
	}
	place := placeOf(t.used)
	if t.used%slabCounters == 0 {
		t.slabs[t.used/slabCounters].Store(new(slab))
	}
	t.used++
	c := t.at(place)
	c.id = id // nobody sees it before it has a slot
	t.put(place, hash(id))
	return t, c
}

// put gives a counter a slot.
func (t *table) put(place uint32, hash uint64) {
	i := hash
	for t.slots[i&uint64(len(t.slots)-1)].Load() != 0 {
		i++
	}
	t.slots[i&uint64(len(t.slots)-1)].Store(place)
}
