package quota

import (
	"crypto/rand"
	"hash/maphash"
	"sync"
	"sync/atomic"
)

// shards is the number of locks. Keys are divided among them.
const shards = 64

// Counter counts the use of keys. It is safe for concurrent use. A key needs memory from its first Reserve until the end of the month
// in which it was used last. Create one with New.
type Counter struct {
	seed   maphash.Seed
	shards [shards]shard
	latest atomic.Pointer[Period] // of the last Reserve
	id     string

	saving savers
}

type shard struct {
	mu      sync.Mutex
	keys    map[string]*counts
	changed []*counts // not saved
	expired []string  // removed from keys, but not from the storage

	_ [64]byte // other shards are in other cache lines
}

// New returns an empty counter.
func New() *Counter {
	c := &Counter{seed: maphash.MakeSeed(), id: rand.Text()}
	for i := range c.shards {
		c.shards[i].keys = map[string]*counts{}
	}
	return c
}

func (c *Counter) shardOf(key string) *shard {
	return &c.shards[maphash.String(c.seed, key)%shards]
}

// Reservation is a question that was counted. The zero value is none, and its methods have no effect. It is used by one goroutine
// at a time.
type Reservation struct {
	shard      *shard
	counts     *counts // nil: none, or it has ended
	day, month int32
	tokens     int64
	observer   EndObserver // nil: none
}

// Reserve counts a question of a key and reserves tokens for its answer, unless a limit is reached. Limits in dryRun do not reject.
// It allocates memory only for the first question of a key.
//
// The reservation must be ended with Settle, SettleEstimate or Release, unless the question is rejected.
func (c *Counter) Reserve(p *Period, key string, l Limits, dryRun Set) (r Reservation, d Decision) {
	c.setLatest(p)
	s := c.shardOf(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.countsOf(p, key)
	if d = e.check(p, l, dryRun); d.Rejected != None {
		return r, d
	}
	return s.admit(e, e.reservation()), d
}

func (c *Counter) setLatest(p *Period) {
	if c.latest.Load() != p { // once a day
		c.latest.Store(p)
	}
}

// countsOf returns the counts of a key in a period.
func (s *shard) countsOf(p *Period, key string) *counts {
	e := s.keys[key]
	if e == nil {
		e = &counts{row: Row{ID: key, Day: p.day}, month: p.month}
		s.keys[key] = e
	}
	e.moveTo(p)
	return e
}

// admit counts a question and reserves tokens.
func (s *shard) admit(e *counts, tokens int64) Reservation {
	e.row.QuestionsDay++
	e.row.QuestionsMonth++
	e.own.add(e, 1, 0)
	e.reserved += tokens
	e.open++
	s.markChanged(e)
	return Reservation{shard: s, counts: e, day: e.row.Day, month: e.month, tokens: tokens}
}

// IsZero reports whether there is no reservation, or it has ended.
func (r *Reservation) IsZero() bool { return r.counts == nil }

// Tokens returns the number of reserved tokens.
func (r *Reservation) Tokens() int64 { return r.tokens }

// Settle replaces the reserved tokens by the number of tokens that the answer has cost. They count towards the day of p. 0 means
// that there was no answer. If the number is an estimate, use SettleEstimate.
func (r *Reservation) Settle(p *Period, tokens int64) {
	r.end(false, func(e *counts) {
		e.moveTo(p)
		e.addAnswer(max(tokens, 0))
	})
}

// Release undoes Reserve: the question was not forwarded. After Settle or Release it has no effect.
func (r *Reservation) Release() {
	r.end(true, func(e *counts) {
		if e.row.Day == r.day {
			e.row.QuestionsDay--
		}
		if e.month == r.month {
			e.row.QuestionsMonth--
		}
		e.own.release(r.day, r.month)
	})
}

func (r *Reservation) end(released bool, count func(*counts)) {
	e := r.counts
	if e == nil {
		return
	}
	r.counts = nil
	if r.observer != nil {
		defer func(key string) { r.observer.Ended(key, released) }(e.row.ID)
	}
	r.shard.mu.Lock()
	defer r.shard.mu.Unlock()
	e.reserved -= r.tokens
	e.open--
	count(e)
	r.shard.markChanged(e)
}

// Use returns what a key has used. ok is false if nothing of the key is counted in this month.
func (c *Counter) Use(p *Period, key string) (u Use, ok bool) {
	u = Use{DayEnd: p.DayEnd, MonthEnd: p.MonthEnd}
	s := c.shardOf(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.keys[key]
	if e == nil {
		return u, false
	}
	now := *e
	now.moveTo(p)
	u.QuestionsToday, u.QuestionsThisMonth = now.row.QuestionsDay, now.row.QuestionsMonth
	u.TokensToday, u.EstimatedTokensToday = now.row.TokensDay, now.row.EstimatedDay
	return u, now.month == e.month
}

// markChanged lists counts to be saved.
func (s *shard) markChanged(e *counts) {
	if !e.dirty {
		e.dirty = true
		s.changed = append(s.changed, e)
	}
}
