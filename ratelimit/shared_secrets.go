package ratelimit

const (
	daySeconds = 24 * 60 * 60

	// nextDayKnown is the time in seconds before the end of a day from which visitors know their ID of the next day, since another gate
	// may already use it. It is more than the difference between the clocks of two gates.
	nextDayKnown = 10 * 60
)

// SharedSecrets are the secrets of a day (UTC) and of the days before and after that several gates share. A zero secret, except Current, is
// unknown.
type SharedSecrets struct {
	Day                     int64 // since 1970
	Previous, Current, Next [32]byte
}

// Share replaces the salts by those of shared secrets, unless they are the same as in the previous call. Visitors are the same at all gates
// with the same secrets. A new secret for the same day makes all visitors new ones.
func (s *Salt) Share(secrets *SharedSecrets) {
	if last := s.shared.Load(); last != nil && *last == *secrets {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	shared := *secrets
	s.shared.Store(&shared)
	v := &salts{
		day: shared.Day, current: hmacKeyOf(shared.Current),
		hasPrevious: shared.Previous != [32]byte{}, hasNext: shared.Next != [32]byte{},
	}
	if v.hasPrevious {
		v.previous = hmacKeyOf(shared.Previous)
	}
	if v.hasNext {
		v.next = hmacKeyOf(shared.Next)
	}
	s.salts.Store(v)
}
