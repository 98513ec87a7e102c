package sharedquota

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/sharedlimits"
)

const (
	// reportInterval is the interval at which a gate reports what has changed without a question.
	reportInterval = 3 * time.Second

	// renewAfter is the age of a lease that is renewed.
	renewAfter = 8 * time.Second

	// recent is how long the counts of a key are reported again after an outage. A server that has lost its last writes has lost less.
	recent = time.Minute

	// batch is the number of keys that are reported at the same time. Decisions on these keys wait meanwhile.
	batch = 64
)

// run informs the server about what changes without a question, until the limiter is closed.
func (l *Limiter) run() {
	ticker := time.NewTicker(reportInterval)
	defer ticker.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-l.wake:
			_ = l.report(l.ctx, l.takeEnded(), time.Now(), isChanged) // what fails is reported later
		case now := <-ticker.C:
			_ = l.report(l.ctx, l.all(), now, isDue)
			l.forget(now)
		}
	}
}

// reportRecent reports the counts of all keys that the server may lack, since it was unavailable or has lost its data.
func (l *Limiter) reportRecent(ctx context.Context) error {
	now := time.Now()
	return l.report(ctx, l.all(), now, func(k *key, st *quota.State, now time.Time) bool {
		return now.Sub(k.reportedAt) < recent || isChanged(k, st, now)
	})
}

// isDue reports whether the server should know more about a key, or will soon forget what it knows.
func isDue(k *key, st *quota.State, now time.Time) bool {
	return isChanged(k, st, now) || !k.confirmAt.IsZero() && !now.Before(k.confirmAt) ||
		st.Reserved > 0 && k.tokens.Load() && now.Sub(k.reportedAt) >= renewAfter
}

// isChanged reports whether the counts of this gate have changed since the last successful call.
func isChanged(k *key, st *quota.State, _ time.Time) bool {
	return st.Own != k.reported.in(st) || k.tokens.Load() && st.Reserved != k.reportedReserved
}

// all returns all keys.
func (l *Limiter) all() []*key {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Collect(maps.Values(l.keys))
}

// takeEnded returns the keys of which answers have ended.
func (l *Limiter) takeEnded() []*key {
	l.mu.Lock()
	defer l.mu.Unlock()
	ended := l.ended
	l.ended = nil
	for _, k := range ended {
		k.ended = false
	}
	return ended
}

// report reports the counts of those keys for which due reports true. If the server is unavailable, it returns an error; before it is
// available again, they are reported.
func (l *Limiter) report(ctx context.Context, keys []*key, now time.Time, due func(*key, *quota.State, time.Time) bool) error {
	l.reporting.Lock()
	defer l.reporting.Unlock()
	for len(keys) > 0 {
		n := min(len(keys), batch)
		if err := l.reportBatch(ctx, keys[:n], now, due); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

func (l *Limiter) reportBatch(ctx context.Context, keys []*key, now time.Time, due func(*key, *quota.State, time.Time) bool) error {
	var locked []*key
	var calls []*call
	for _, k := range keys {
		k.deciding.Lock()
		if k.period == nil {
			k.deciding.Unlock()
			continue
		}
		k.period = l.periodAt(k, now)
		st := l.local.State(k.period, k.id)
		if !due(k, &st, now) {
			k.deciding.Unlock()
			continue
		}
		locked, calls = append(locked, k), append(calls, l.newCall(k, nil))
	}
	defer func() {
		for _, k := range locked {
			k.deciding.Unlock()
		}
	}()
	plain := make([]sharedlimits.Call, len(calls))
	for i, c := range calls {
		plain[i] = c.Call
	}
	err := l.conn.RunAll(ctx, script, plain)
	for i, k := range locked {
		if plain[i].Err == nil && plain[i].Result != nil {
			_ = l.apply(k, calls[i], plain[i].Result, nil, now) // a malformed result is that of no call
		}
	}
	return err
}

// periodAt returns the period of a time. k.deciding must be held.
func (l *Limiter) periodAt(k *key, now time.Time) *quota.Period {
	if l.clock != nil {
		now = l.clock()
	}
	return k.period.Calendar().At(now)
}

// forget forgets keys for which this gate has counted nothing in this month.
func (l *Limiter) forget(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, k := range l.keys {
		if k.users > 0 || k.ended || !k.deciding.TryLock() {
			continue
		}
		if st := l.local.State(l.periodAt(k, now), id); st.Own == (quota.Counts{}) && st.Reserved == 0 && !isChanged(k, &st, now) {
			delete(l.keys, id)
		}
		k.deciding.Unlock()
	}
}
