// Package logsample limits repeated log lines.
package logsample

import (
	"sync"
	"time"
)

// Sampler limits repeated log lines to one per code, ID and interval, and all lines together to Rate per second. It counts suppressed
// lines. Its memory is bounded: it knows at most 1000 codes with IDs, and counts what does not fit by code. The zero value is ready to use.
// It is safe for concurrent use.
type Sampler struct {
	mu      sync.Mutex
	seen    map[key]*state
	evicted time.Time // when the old ones were last removed from seen

	tokens   float64   // lines that may be logged now
	refilled time.Time // zero: no line was logged
}

type key struct{ code, id string }

type state struct {
	logged  time.Time
	skipped int
}

// Limits of the lines of a Sampler.
const (
	// Interval is the minimum time between two log lines with the same code and ID.
	Interval = 10 * time.Second
	// Rate is the number of lines per second, on average.
	Rate = 10
	// Burst is the number of lines that may be logged at the same time.
	Burst = 50

	// maxKeys is the number of codes with IDs above which new ones are counted by code.
	maxKeys = 1000
)

// Allow reports whether to log now, and how many lines with the same code and ID were suppressed since the last one. The ID is that of a key,
// or an IP address; "": none. Lines of IDs that the sampler no longer knows are counted with the ID "". There must be few codes.
func (t *Sampler) Allow(code, id string, now time.Time) (skipped int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stateOf(key{code, id}, now)
	if now.Sub(s.logged) < Interval || !t.take(now) {
		s.skipped++
		return 0, false
	}
	skipped, s.skipped, s.logged = s.skipped, 0, now
	return skipped, true
}

// stateOf returns the state of a code with an ID, or the one of the code if there are too many.
func (t *Sampler) stateOf(k key, now time.Time) *state {
	if s := t.seen[k]; s != nil {
		return s
	}
	if t.seen == nil {
		t.seen = map[key]*state{}
	}
	if k.id != "" && len(t.seen) >= maxKeys {
		if t.evict(now); len(t.seen) >= maxKeys {
			return t.stateOf(key{code: k.code}, now)
		}
	}
	s := &state{}
	t.seen[k] = s
	return s
}

// evict removes the states whose interval is over, at most once a second. What they have suppressed is counted by code.
func (t *Sampler) evict(now time.Time) {
	if now.Sub(t.evicted) < time.Second {
		return
	}
	t.evicted = now
	suppressed := map[string]int{}
	for k, s := range t.seen {
		if k.id != "" && now.Sub(s.logged) >= Interval {
			suppressed[k.code] += s.skipped
			delete(t.seen, k)
		}
	}
	for code, n := range suppressed {
		if n > 0 {
			t.stateOf(key{code: code}, now).skipped += n
		}
	}
}

// take takes one of the lines that may be logged now.
func (t *Sampler) take(now time.Time) bool {
	if t.refilled.IsZero() {
		t.tokens = Burst
	} else if passed := now.Sub(t.refilled); passed > 0 {
		t.tokens = min(Burst, t.tokens+passed.Seconds()*Rate)
	}
	t.refilled = now
	if t.tokens < 1 {
		return false
	}
	t.tokens--
	return true
}
