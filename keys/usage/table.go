package usage

import "sync/atomic"

// table finds counters by id. It grows and never shrinks, so an open hash table of pointers will do: finding one takes no
// lock and no allocation, which no map of the standard library can do for a string. What is put in is seen by those who
// hold the table; a table that is too full is copied, and who still looks in the old one asks again under the lock.
type table struct {
	slots []atomic.Pointer[counter] // a power of two; at least a quarter is empty
	used  int                       // guarded by the lock of the shard
}

const firstTable = 8

func newTable(slots int) *table { return &table{slots: make([]atomic.Pointer[counter], slots)} }

func (t *table) find(hash uint64, id string) *counter {
	for i := hash; ; i++ {
		c := t.slots[i&uint64(len(t.slots)-1)].Load()
		if c == nil || c.id == id {
			return c
		}
	}
}

// with returns the table with one more counter: itself, or a bigger copy. The caller holds the lock of the shard.
func (t *table) with(c *counter, hash func(id string) uint64) *table {
	if 4*(t.used+1) > 3*len(t.slots) {
		bigger := newTable(2 * len(t.slots))
		for i := range t.slots {
			if old := t.slots[i].Load(); old != nil {
				bigger.put(old, hash(old.id))
			}
		}
		t = bigger
	}
	t.put(c, hash(c.id))
	return t
}

func (t *table) put(c *counter, hash uint64) {
	i := hash
	for t.slots[i&uint64(len(t.slots)-1)].Load() != nil {
		i++
	}
	t.slots[i&uint64(len(t.slots)-1)].Store(c)
	t.used++
}
