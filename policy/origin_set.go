package policy

import (
	"strings"
	"sync"
	"sync/atomic"
)

// OriginSet is a multiset of origin patterns. A lookup takes as long as the origin has labels, however many patterns there are. The
// zero value is empty and ready to use; it must not be copied. It is safe for concurrent use.
type OriginSet struct {
	any atomic.Int64 // number of "*"

	mu         sync.RWMutex
	exact      map[Origin]int // including "null"
	subdomains map[Origin]int // of the host, which has no "*."
}

// Add adds patterns. Each must be removed as often as it was added.
func (s *OriginSet) Add(patterns []Origin) { s.change(patterns, 1) }

// Remove removes patterns that were added.
func (s *OriginSet) Remove(patterns []Origin) { s.change(patterns, -1) }

func (s *OriginSet) change(patterns []Origin, delta int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.exact == nil {
		s.exact, s.subdomains = map[Origin]int{}, map[Origin]int{}
	}
	for _, p := range patterns {
		if p.IsAny() {
			s.any.Add(int64(delta))
			continue
		}
		counts := s.exact
		if base, wildcard := strings.CutPrefix(p.host, "*."); wildcard {
			counts, p.host = s.subdomains, base
		}
		if counts[p] += delta; counts[p] <= 0 {
			delete(counts, p)
		}
	}
}

// AllowsAny reports whether "*" is in the set.
func (s *OriginSet) AllowsAny() bool { return s.any.Load() > 0 }

// Allows reports whether a value of the header Origin matches one of the patterns, as AllowsOrigin does.
func (s *OriginSet) Allows(value string) bool {
	if s.AllowsAny() {
		return true
	}
	o := Origin{scheme: nullOrigin}
	if value != nullOrigin {
		var valid bool
		if o.scheme, o.host, o.port, valid = splitOrigin(value); !valid {
			return false
		}
		o.scheme, o.host = strings.ToLower(o.scheme), strings.ToLower(o.host)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.exact[o] > 0 {
		return true
	}
	if o.host == "" || o.host[0] == '.' {
		return false
	}
	for base := o.host; ; {
		var dot bool
		if _, base, dot = strings.Cut(base, "."); !dot {
			return false
		}
		if s.subdomains[Origin{o.scheme, base, o.port}] > 0 {
			return true
		}
	}
}
