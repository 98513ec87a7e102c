package sharedrate

import (
	"context"
	"time"

	"github.com/docsgate/docsgate/sharedlimits"
)

// informServer informs the server about released streams, and renews the leases, until the limiter is closed.
func (l *Limiter) informServer() {
	ticker := time.NewTicker(renewInterval)
	defer ticker.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-l.streams.wake:
			l.flush(l.ctx)
		case <-ticker.C:
			l.renew(l.ctx)
		}
	}
}

// flush informs the server about released streams, and corrects counts that are in doubt. If the server is unavailable, all counts with
// changes are in doubt.
func (l *Limiter) flush(ctx context.Context) {
	l.streams.work.Lock()
	defer l.streams.work.Unlock()
	if !l.conn.Available() {
		l.streams.mu.Lock()
		defer l.streams.mu.Unlock()
		for _, k := range l.streams.keys {
			if k.closed != nil {
				k.closed, k.inDoubt = nil, true
			}
		}
		return // they are corrected before the server is available again
	}
	var names []string
	var calls []sharedlimits.Call
	l.streams.mu.Lock()
	for name, k := range l.streams.keys {
		if k.inDoubt || k.closed == nil {
			continue
		}
		args := l.streamArgs("release")
		for visitor, n := range k.closed {
			args = append(args, visitor[:], n)
		}
		k.closed, k.informing = nil, true
		names, calls = append(names, name), append(calls, sharedlimits.Call{Keys: l.streamKeys(name), Args: args})
	}
	l.streams.mu.Unlock()
	_ = l.conn.RunAll(ctx, streamsScript, calls) // the calls have its errors
	l.streams.mu.Lock()
	for _, name := range names {
		l.streams.key(name).informing = false
	}
	l.streams.mu.Unlock()
	l.check(names, calls, nil)
	_ = l.correct(ctx) // otherwise the counts remain in doubt
}

// renewal is what is known of a key when its lease is renewed.
type renewal struct {
	name           string
	count, changes int
	quiet          bool // the server knows all changes
}

// renew renews the leases of all keys with open streams, and compares their counts with those of the server.
func (l *Limiter) renew(ctx context.Context) {
	l.streams.work.Lock()
	defer l.streams.work.Unlock()
	if !l.conn.Available() {
		return
	}
	renewals := l.renewals()
	names, calls := make([]string, len(renewals)), make([]sharedlimits.Call, len(renewals))
	for i, r := range renewals {
		names[i], calls[i] = r.name, sharedlimits.Call{Keys: l.streamKeys(r.name), Args: l.streamArgs("renew")}
	}
	_ = l.conn.RunAll(ctx, streamsScript, calls) // the calls have its errors
	l.check(names, calls, func(i int, k *streamKey, count int64) bool {
		r := renewals[i]
		if !r.quiet || r.changes != k.changes {
			return count >= 0
		}
		if r.count == 0 && count <= 0 {
			delete(l.streams.keys, r.name)
		}
		return int64(r.count) == max(count, 0)
	})
	_ = l.correct(ctx) // otherwise the counts remain in doubt
}

// renewals returns the keys whose counts are not in doubt.
func (l *Limiter) renewals() []renewal {
	open := l.local.KeysWithStreams()
	l.streams.mu.Lock()
	defer l.streams.mu.Unlock()
	for name := range open {
		if l.streams.keys[name] == nil {
			l.streams.key(name).inDoubt = true // opened under a configuration without shared limits
		}
	}
	var renewals []renewal
	for name, k := range l.streams.keys {
		if !k.inDoubt {
			count, _ := l.local.Streams(name)
			renewals = append(renewals, renewal{name: name, count: count, changes: k.changes, quiet: k.using == 0 && k.closed == nil})
		}
	}
	return renewals
}

// check marks the keys as in doubt whose calls have failed, or whose counts at the server are not right. A count is negative if the server
// does not know the key. isRight may be nil: all known counts are right. It is called with l.streams.mu.
func (l *Limiter) check(names []string, calls []sharedlimits.Call, isRight func(i int, k *streamKey, count int64) bool) {
	l.streams.mu.Lock()
	defer l.streams.mu.Unlock()
	for i := range calls {
		k := l.streams.key(names[i])
		count, ok := calls[i].Result.(int64)
		ok = ok && calls[i].Err == nil
		if isRight == nil {
			ok = ok && count >= 0
		} else {
			ok = ok && isRight(i, k, count)
		}
		if !ok {
			k.inDoubt = true
		}
	}
}

// recount corrects the counts of all keys with open streams: the server was unavailable, or has lost its data.
func (l *Limiter) recount(ctx context.Context) error {
	l.streams.work.Lock()
	defer l.streams.work.Unlock()
	open := l.local.KeysWithStreams()
	l.streams.mu.Lock()
	for name := range open {
		l.streams.key(name).inDoubt = true
	}
	for _, k := range l.streams.keys {
		k.inDoubt = true
	}
	l.streams.mu.Unlock()
	return l.correct(ctx)
}

// correct replaces the server's counts that are in doubt by those of the local limiter. l.streams.work must be held.
func (l *Limiter) correct(ctx context.Context) error {
	var doubtful []string
	l.streams.mu.Lock()
	for name, k := range l.streams.keys {
		if k.inDoubt {
			doubtful = append(doubtful, name)
		}
	}
	l.streams.mu.Unlock()
	for len(doubtful) > 0 {
		n := min(len(doubtful), batch)
		if err := l.set(ctx, doubtful[:n]); err != nil {
			return err
		}
		doubtful = doubtful[n:]
	}
	return nil
}

// set sets the server's counts of some keys. No decision on these keys is in flight meanwhile.
func (l *Limiter) set(ctx context.Context, names []string) error {
	calls, locked := make([]sharedlimits.Call, len(names)), make([]*streamKey, len(names))
	for i, name := range names {
		l.streams.mu.Lock()
		k := l.streams.key(name)
		l.streams.mu.Unlock()
		k.deciding.Lock()
		locked[i] = k
		l.streams.mu.Lock()
		total, visitors := l.local.Streams(name)
		k.closed, k.inDoubt = nil, false
		l.streams.mu.Unlock()
		args := append(l.streamArgs("set"), total)
		for visitor, count := range visitors {
			args = append(args, visitor[:], count)
		}
		calls[i] = sharedlimits.Call{Keys: l.streamKeys(name), Args: args}
	}
	err := l.conn.RunAll(ctx, streamsScript, calls)
	for _, k := range locked {
		k.deciding.Unlock()
	}
	l.check(names, calls, nil)
	return err
}
