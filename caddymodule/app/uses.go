package app

import (
	"slices"
	"sync"

	"github.com/docsgate/docsgate/keys/revocation"
)

// Uses are the requests in flight with a key, including those of old configurations. They follow the keys of the newest configuration.
var Uses = revocation.New()

// started are the states whose configuration was started, oldest first. A configuration that is rejected after its start is removed again.
var started struct {
	mu     sync.Mutex
	states []*State
}

// follow makes a state the newest one.
func follow(s *State) {
	started.mu.Lock()
	defer started.mu.Unlock()
	started.states = append(slices.DeleteFunc(started.states, func(o *State) bool { return o == s }), s)
	Uses.Follow(s.Store)
}

// unfollow removes a state that is no longer used. Without another one, requests in flight keep the last keys: the process is exiting, or
// the configuration has no gate.
func unfollow(s *State) {
	started.mu.Lock()
	defer started.mu.Unlock()
	started.states = slices.DeleteFunc(started.states, func(o *State) bool { return o == s })
	if n := len(started.states); n > 0 {
		Uses.Follow(started.states[n-1].Store)
	}
}
