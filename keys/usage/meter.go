package usage

import (
	"cmp"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// shards is the number of locks. A lock is taken when a key is used for the first time, in a new hour, or for the first time
// since its usage was saved.
const shards = 64

// Counter counts the use of keys. It is safe for concurrent use, and Count does not wait long for locks of other keys. It uses
// about 75 bytes of memory per used key, and 96 more during the day after an hour with more than 255 requests.
type Counter struct {
	seed   maphash.Seed
	shards [shards]shard
	totals *Counter // set by Share: what all gates have counted; shards contain what was not taken yet
}

type shard struct {
	counters atomic.Pointer[table]

	mu      sync.Mutex // held to add counters, and to advance or read windows
	changed []*counter
	_       [64]byte // padding, so that shards do not share cache lines
}

// NewMeter returns an empty Meter.
func NewMeter() *Counter {
	m := &Counter{seed: maphash.MakeSeed()}
	for i := range m.shards {
		m.shards[i].counters.Store(newTable(firstTable))
	}
	return m
}

func (m *Counter) hash(id string) uint64 { return maphash.String(m.seed, id) }

// shardOf selects a shard by the upper bits; the tables use the lower ones.
func (m *Counter) shardOf(hash uint64) *shard { return &m.shards[hash>>32%shards] }

// Count counts one request of a key. old means that the request used a previous token.
func (m *Counter) Count(id string, old bool, now time.Time) {
	seconds := now.Unix()
	inHour, inMinute := clamp(seconds/hour), clamp(seconds/minute)
	hash := m.hash(id)
	s := m.shardOf(hash)
	c := s.counters.Load().find(hash, id)
	if c == nil || !c.tryIncrement(inHour) {
		s.mu.Lock()
		c = s.counter(m, hash, id)
		c.hitOther(inHour)
		s.mu.Unlock()
	}
	if old {
		setLatest(&c.old, inMinute)
	} else {
		setLatest(&c.last, inMinute)
	}
	s.noteChange(c)
}

// counter returns the counter of a key, and creates it if necessary. The caller holds the lock.
func (s *shard) counter(m *Counter, hash uint64, id string) *counter {
	t := s.counters.Load()
	c := t.find(hash, id)
	if c == nil {
		t, c = t.insert(id, m.hash)
		s.counters.Store(t)
	}
	return c
}

// noteChange is called after a count. Changed clears the counter's flag before it reads the counter, so a count after that
// finds no flag and is added to the list again.
func (s *shard) noteChange(c *counter) {
	if c.dirty() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.dirty() {
		c.setState(c.newest(), true)
		s.changed = append(s.changed, c)
	}
}

// Get returns the usage of a key at the time now.
func (m *Counter) Get(id string, now time.Time) Stats {
	stats := m.get(id, now)
	if m.totals != nil {
		stats.add(m.totals.get(id, now))
	}
	return stats
}

func (m *Counter) get(id string, now time.Time) Stats {
	hash := m.hash(id)
	s := m.shardOf(hash)
	c := s.counters.Load().find(hash, id)
	if c == nil {
		return Stats{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{
		LastUsed: timeOf(c.last.Load()), OldLastUsed: timeOf(c.old.Load()), Requests: c.window(clamp(now.Unix() / hour)),
	}
}

// TakeDirty returns the rows that have changed since the last call, sorted by ID, so that they can be saved. A concurrent count
// is in these rows or in those of the next call. If saving fails, the caller returns the rows with Unsaved.
func (m *Counter) TakeDirty() []Row {
	var rows []Row
	for i := range m.shards {
		s := &m.shards[i]
		s.mu.Lock()
		for _, c := range s.changed {
			c.setState(c.newest(), false) // before the row is read; see noteChange
			rows = append(rows, c.row())
		}
		s.changed = nil
		s.mu.Unlock()
	}
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Compare(a.ID, b.ID) })
	return rows
}

// MarkDirty adds the keys of rows to the list of changes again. Their next rows also contain the requests counted since then.
func (m *Counter) MarkDirty(rows []Row) {
	for i := range rows {
		hash := m.hash(rows[i].ID)
		s := m.shardOf(hash)
		if c := s.counters.Load().find(hash, rows[i].ID); c != nil {
			s.noteChange(c)
		}
	}
}

// Forget discards the usage of a key that does not exist any more, so that nothing of it is saved. Its memory is not freed.
func (m *Counter) Forget(id string) {
	if m.totals != nil {
		m.totals.Forget(id)
	}
	hash := m.hash(id)
	s := m.shardOf(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counters.Load().find(hash, id)
	if c == nil {
		return
	}
	c.restore(Row{})
	if c.dirty() {
		c.setState(0, false)
		s.changed = slices.DeleteFunc(s.changed, func(o *counter) bool { return o == c })
	}
}

// ID returns the Meter's copy of an ID, if it has one, so that callers that store IDs need not store a second copy.
func (m *Counter) ID(id string) (same string, known bool) {
	hash := m.hash(id)
	if c := m.shardOf(hash).counters.Load().find(hash, id); c != nil {
		return c.id, true
	}
	if m.totals != nil {
		return m.totals.ID(id)
	}
	return "", false
}

// Restore sets a key's usage to a stored row. It must be called before the first Count.
func (m *Counter) Restore(r Row) {
	hash := m.hash(r.ID)
	s := m.shardOf(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counter(m, hash, r.ID).restore(r)
}
