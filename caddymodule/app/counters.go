package app

import (
	"slices"
	"sync"

	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/keys/revocation"
)

// Counters are what is counted for the keys of a backend by the process, also across reloads that change its feeds.
type Counters struct {
	// Uses are the requests in flight with a key, including those of old configurations. They follow the keys of the newest configuration.
	Uses *revocation.Watcher

	// Quotas counts the questions and tokens of keys.
	Quotas *quota.Counter

	// Tokens replaces estimates in Quotas by the numbers of tokens that DocsGPT has recorded.
	Tokens *quota.Reconciler

	// started are the states whose configuration was started, oldest first. A configuration that is rejected after its start is removed
	// again.
	mu      sync.Mutex // guards started
	started []*State
}

// counters holds the counters of all backends by their names. They are kept when a reload removes a backend: its requests in flight must
// still follow its keys if another reload adds it again.
var counters struct {
	sync.Mutex
	byName map[string]*Counters
}

// CountersOf returns the counters of a backend by its name; empty: of the default one.
func CountersOf(backend string) *Counters {
	counters.Lock()
	defer counters.Unlock()
	c := counters.byName[backend]
	if c == nil {
		c = &Counters{Uses: revocation.New(), Quotas: quota.New(), Tokens: quota.NewReconciler()}
		if counters.byName == nil {
			counters.byName = map[string]*Counters{}
		}
		counters.byName[backend] = c
	}
	return c
}

// Counters returns the counters of the backend.
func (b *Backend) Counters() *Counters { return b.counters }

// follow makes a state the newest one.
func (c *Counters) follow(s *State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started = append(slices.DeleteFunc(c.started, func(o *State) bool { return o == s }), s)
	c.Uses.Follow(s.Store)
}

// unfollow removes a state that is no longer used. Without another one, requests in flight keep the last keys: the process is exiting, or
// the configuration does not have the backend.
func (c *Counters) unfollow(s *State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started = slices.DeleteFunc(c.started, func(o *State) bool { return o == s })
	if n := len(c.started); n > 0 {
		c.Uses.Follow(c.started[n-1].Store)
	}
}
