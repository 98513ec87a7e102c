package usage

import (
	"cmp"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// shards is how many locks there are. They are taken when a key is used for the first time, in a new hour, or for the
// first time since its use was saved.
const shards = 64

// Meter counts. It is safe for concurrent use; Count takes no lock that another key's count could hold for long. Its memory
// grows with the keys that were used, by some 75 bytes each; for the day after an hour with more than 255 requests by 96 more.
type Meter struct {
	seed   maphash.Seed
	shards [shards]shard
}

type shard struct {
	counters atomic.Pointer[table]

	mu      sync.Mutex // held to put counters in, and to move windows on or read them
	changed []*counter
	_       [64]byte // keeps the shards in cache lines of their own
}

// NewMeter returns a meter that knows of no use.
func NewMeter() *Meter {
	m := &Meter{seed: maphash.MakeSeed()}
	for i := range m.shards {
		m.shards[i].counters.Store(newTable(firstTable))
	}
	return m
}

func (m *Meter) hash(id string) uint64 { return maphash.String(m.seed, id) }

// shardOf chooses by the upper bits; the tables use the lower ones.
func (m *Meter) shardOf(hash uint64) *shard { return &m.shards[hash>>32%shards] }

// Count notes one request of a key. old says that it came with a token that another has replaced.
func (m *Meter) Count(id string, old bool, now time.Time) {
	seconds := now.Unix()
	inHour, inMinute := clamp(seconds/hour), clamp(seconds/minute)
	hash := m.hash(id)
	s := m.shardOf(hash)
	c := s.counters.Load().find(hash, id)
	if c == nil || !c.hit(inHour) {
		s.mu.Lock()
		c = s.counter(m, hash, id)
		c.hitOther(inHour)
		s.mu.Unlock()
	}
	if old {
		mark(&c.old, inMinute)
	} else {
		mark(&c.last, inMinute)
	}
	s.noteChange(c)
}

// counter returns the counter of a key, a new one if need be. The caller holds the lock.
func (s *shard) counter(m *Meter, hash uint64, id string) *counter {
	t := s.counters.Load()
	c := t.find(hash, id)
	if c == nil {
		t, c = t.with(id, m.hash)
		s.counters.Store(t)
	}
	return c
}

// noteChange is called after something was counted. Changed takes the mark off before it reads, so what is counted after
// its reading finds no mark and is noted again.
func (s *shard) noteChange(c *counter) {
	if c.noted() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !c.noted() {
		c.setState(c.newest(), true)
		s.changed = append(s.changed, c)
	}
}

// Of returns the use of a key as of now.
func (m *Meter) Of(id string, now time.Time) Use {
	hash := m.hash(id)
	s := m.shardOf(hash)
	c := s.counters.Load().find(hash, id)
	if c == nil {
		return Use{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return Use{
		LastUsed: timeOf(c.last.Load()), OldLastUsed: timeOf(c.old.Load()), Requests: c.window(clamp(now.Unix() / hour)),
	}
}

// Changed returns the rows that have changed since the last call, in the order of their ids, for being saved. What is
// counted while it runs is in these rows or in those of the next call. The caller gives them back with Unsaved if saving
// failed.
func (m *Meter) Changed() []Row {
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

// Unsaved marks the keys of rows as changed again. What has been counted since then is in their next rows, too.
func (m *Meter) Unsaved(rows []Row) {
	for i := range rows {
		hash := m.hash(rows[i].ID)
		s := m.shardOf(hash)
		if c := s.counters.Load().find(hash, rows[i].ID); c != nil {
			s.noteChange(c)
		}
	}
}

// ID returns the text of an id as the meter has it, if it has: whoever keeps ids can keep that one, so that there are not two.
func (m *Meter) ID(id string) (same string, known bool) {
	hash := m.hash(id)
	if c := m.shardOf(hash).counters.Load().find(hash, id); c != nil {
		return c.id, true
	}
	return "", false
}

// Restore takes a saved row in. It is for the start, before the first Count.
func (m *Meter) Restore(r Row) {
	hash := m.hash(r.ID)
	s := m.shardOf(hash)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counter(m, hash, r.ID).restore(r)
}
