// Package logsample limits repeated log lines.
package logsample

import (
	"sync"
	"time"
)

// Sampler limits repeated log lines to one per code, key (or IP address) and interval. It counts suppressed lines. It is
// safe for concurrent use.
type Sampler struct {
	mu   sync.Mutex
	seen map[key]*state
}

type key struct{ code, id string }

type state struct {
	logged  time.Time
	skipped int
}

const (
	// interval is the minimum time between two log lines with the same code and ID.
	interval = 10 * time.Second
	// maxKeys is the number of codes with IDs at which all counts are reset.
	maxKeys = 1000
)

// Allow reports whether to log now, and how many lines with the same code and ID were suppressed since the last one. The ID
// is that of a key, or an IP address.
func (t *Sampler) Allow(code, id string, now time.Time) (skipped int, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.seen == nil || len(t.seen) >= maxKeys {
		t.seen = map[key]*state{}
	}
	count := t.seen[key{code, id}]
	if count == nil {
		count = &state{}
		t.seen[key{code, id}] = count
	}
	if now.Sub(count.logged) < interval {
		count.skipped++
		return 0, false
	}
	skipped, count.skipped, count.logged = count.skipped, 0, now
	return skipped, true
}
