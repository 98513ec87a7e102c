package usage

import "sync/atomic"

// slab is the unit of allocation of counters, so that a counter can be identified by a small number. One counter more would
// exceed the size class of 2 KiB, since the allocator needs one word itself.
type slab [slabCounters]counter

const (
	slabCounters = 1<<slabBits - 1
	slabBits     = 5
)

// table is a hash table of counters by ID. It only grows, so open addressing with counter numbers is sufficient: a lookup takes
// no lock and does not allocate. A sync.Map would take 124 more bytes per key, twice the size of a counter. New counters are visible
// to all users of a table. A full table is copied to a larger one; a reader of the old table that misses a counter repeats the lookup
// under the lock.
type table struct {
	slots []atomic.Uint32        // places of counters, or 0 if empty; the length is a power of two; at least a quarter is empty
	slabs []atomic.Pointer[slab] // enough for all slots; nil: not allocated yet
	used  uint32                 // number of counters; guarded by the lock of the shard
}

const firstTable = 8

func newTable(slots int) *table {
	return &table{
		slots: make([]atomic.Uint32, slots),
		slabs: make([]atomic.Pointer[slab], 3*slots/4/slabCounters+1),
	}
}

// placeOf returns the place of a counter by its number: the index of its slab, and in the lower bits its index there plus 1.
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

// insert adds a counter and returns it with the table: t itself, or a larger copy. The caller holds the lock of the shard.
func (t *table) insert(id string, hash func(id string) uint64) (*table, *counter) {
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
	c.id = id // not visible to readers before it has a slot
	t.put(place, hash(id))
	return t, c
}

// put stores the place of a counter in a free slot.
func (t *table) put(place uint32, hash uint64) {
	i := hash
	for t.slots[i&uint64(len(t.slots)-1)].Load() != 0 {
		i++
	}
	t.slots[i&uint64(len(t.slots)-1)].Store(place)
}
