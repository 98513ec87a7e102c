package cluster

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/docsgate/docsgate/e2e/cluster/history"
	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/redistest"
)

const (
	ample        = 100_000 // requests of keys that are never limited
	scarce       = 12      // requests of a limitedKey
	scarceChecks = 100     // with a limitedKey, before it is replaced
)

// limitedKey is the key whose requests exceed their limit. It is not changed.
type limitedKey struct {
	key       *testedKey
	checks    int // that are still to be done
	replacing bool
}

// checkLimited asks with the limited key, or replaces it.
func (w *workload) checkLimited(node int) {
	w.mu.Lock()
	limited := w.limited
	w.limited.checks--
	w.limited.replacing = limited.replacing || limited.checks <= 0
	w.mu.Unlock()
	switch {
	case limited.replacing:
	case limited.checks > 0:
		w.check(node, limited.key, 0)
	default:
		limited = limitedKey{}
		if k := w.create(node, scarce); k.id != "" {
			limited = limitedKey{key: k, checks: scarceChecks}
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.limited = limited
	}
}

// injectLimitFaults makes Redis fail in one way after the other until stop is closed, and ends the last fault.
func (w *workload) injectLimitFaults(server *redistest.Server, random *rand.Rand, stop <-chan struct{}) {
	client := server.Client()
	proxies := func(nodes []*node, f func(*feedtest.Proxy)) func() {
		return func() {
			for _, n := range nodes {
				f(n.redis)
			}
		}
	}
	for sleep(stop, 2*time.Second, 6*time.Second) {
		affected := w.c.nodes
		if random.IntN(2) == 0 {
			i := random.IntN(len(affected))
			affected = affected[i : i+1]
		}
		begin, end := proxies(affected, (*feedtest.Proxy).Refuse), proxies(affected, (*feedtest.Proxy).Accept)
		switch random.IntN(4) {
		case 1:
			begin = proxies(affected, (*feedtest.Proxy).Blackhole)
		case 2:
			begin, end = server.Stop, server.Restart
		case 3:
			begin, end = func() {
				if err := client.FlushAll(context.Background()).Err(); err != nil {
					w.c.t.Errorf("flushing Redis: %v", err)
				}
			}, func() {}
		}
		w.mu.Lock()
		w.h.LimitFaults = append(w.h.LimitFaults, history.Interval{From: time.Since(w.start), To: forever})
		w.mu.Unlock()
		begin()
		sleep(stop, 500*time.Millisecond, 4*time.Second)
		end()
		w.mu.Lock()
		w.h.LimitFaults[len(w.h.LimitFaults)-1].To = time.Since(w.start)
		w.mu.Unlock()
	}
}
