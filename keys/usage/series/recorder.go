package series

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// shards is the number of locks. Keys are divided among them.
	shards = 64

	// maxRows is the maximum number of rows in memory, about 450 bytes each. More than that accumulate only while the storage is
	// unavailable, or if more keys are used within 5 seconds.
	maxRows = 200_000
)

// Recorder counts the usage of keys in memory. It is safe for concurrent use. Create one with NewRecorder.
type Recorder struct {
	seed    maphash.Seed
	shards  [shards]shard
	rows    atomic.Int64 // in all shards
	limit   int64        // of rows
	dropped func()       // is called for each call of Record that has no effect
}

type shard struct {
	mu      sync.Mutex
	current map[string]*row // of keys that were used since the flush before the last one
	ended   []*row          // of minutes that have ended

	_ [64]byte // other shards are in other cache lines
}

type row struct {
	Row
	flush uint64 // number of the flush that has taken the row last
}

// NewRecorder returns an empty recorder. dropped is called for each call of Record that has no effect, since too many rows are in memory.
func NewRecorder(dropped func()) *Recorder {
	r := &Recorder{seed: maphash.MakeSeed(), limit: maxRows, dropped: dropped}
	for i := range r.shards {
		r.shards[i].current = map[string]*row{}
	}
	return r
}

func (r *Recorder) shardOf(key string) *shard { return &r.shards[maphash.String(r.seed, key)%shards] }

// Record adds the counts of a request of a key. It allocates no memory if the key was used in the last seconds.
func (r *Recorder) Record(key string, at time.Time, c *Counts) {
	s := r.shardOf(key)
	minute := at.Unix() / 60
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.current[key]
	switch {
	case e == nil:
		if e = r.newRow(key, minute); e == nil {
			return
		}
		s.current[key] = e
	case e.Minute == minute:
	case e.Counts.IsZero():
		e.Minute = minute
	default:
		next := r.newRow(key, minute)
		if next == nil {
			return
		}
		if minute < e.Minute { // counted late
			next.Counts = *c
			s.ended = append(s.ended, next)
			return
		}
		s.ended = append(s.ended, e)
		s.current[key], e = next, next
	}
	e.Counts.Add(c)
}

// newRow returns a row, or nil if there are too many.
func (r *Recorder) newRow(key string, minute int64) *row {
	if r.rows.Add(1) > r.limit {
		r.rows.Add(-1)
		r.dropped()
		return nil
	}
	return &row{Row: Row{Key: key, Minute: minute}}
}

// take returns at most limit rows with what was counted since its last call. It is called until there are none, each time with the number
// of the same flush, and removes the rows of keys that were not used since the flush before.
func (r *Recorder) take(flush uint64, limit int) (rows []Row) {
	for i := range r.shards {
		s := &r.shards[i]
		s.mu.Lock()
		removed := min(len(s.ended), limit-len(rows))
		for _, e := range s.ended[:removed] {
			rows = append(rows, e.Row)
		}
		if s.ended = s.ended[removed:]; len(s.ended) == 0 {
			s.ended = nil
		}
		for key, e := range s.current {
			switch {
			case !e.Counts.IsZero():
				if len(rows) < limit {
					rows = append(rows, e.Row)
					e.Counts, e.flush = Counts{}, flush
				}
			case e.flush != flush:
				delete(s.current, key)
				removed++
			}
		}
		s.mu.Unlock()
		r.rows.Add(-int64(removed))
		if len(rows) == limit {
			break
		}
	}
	return rows
}
