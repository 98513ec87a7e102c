package ratelimit

// Releaser is informed when a slot is released.
type Releaser interface {
	// Release is called once, and must call release, which counts the stream as closed. It must not block.
	Release(key string, visitor [16]byte, release func())
}

// OnRelease has r release the slot. It does nothing if the slot is empty.
func (s *Slot) OnRelease(r Releaser) {
	if s.limiter != nil {
		s.releaser = r
	}
}

// Streams returns the number of open streams of a key, also by visitor.
func (l *Limiter) Streams(key string) (total int, visitors map[[16]byte]int) {
	s := l.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[key]
	if k == nil || k.streams == 0 {
		return 0, nil
	}
	visitors = make(map[[16]byte]int, len(k.visitorStreams))
	for id, n := range k.visitorStreams {
		visitors[id] = n
	}
	return k.streams, visitors
}

// KeysWithStreams returns the keys with open streams, with their numbers.
func (l *Limiter) KeysWithStreams() map[string]int {
	found := map[string]int{}
	for i := range l.shards {
		s := &l.shards[i]
		s.mu.Lock()
		for id, k := range s.keys {
			if k.streams > 0 {
				found[id] = k.streams
			}
		}
		s.mu.Unlock()
	}
	return found
}
