package ratelimit

// Slot is an open stream. The zero value is empty. It belongs to one request, is not safe for concurrent use, and must not be
// copied after it is stored.
type Slot struct {
	limiter  *Limiter
	key      string
	visitor  visitorID
	releaser Releaser // nil: none
}

// Acquire counts a stream of a key and of a visitor as open, if both have fewer open streams than the limits. Otherwise it counts
// nothing, and returns an empty slot and the limit that is reached, the key's first. A limit of 0 means no limit; a
// negative one allows no stream. Streams are counted without a limit, too, so a limit that is set later includes them.
func (l *Limiter) Acquire(key string, visitor Visitor, keyStreams, visitorStreams int) (Slot, Scope) {
	s := l.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.enter(l, key)
	open := k.visitorStreams[visitor.id]
	if visitor.previous != (visitorID{}) {
		open += k.visitorStreams[visitor.previous]
	}
	switch {
	case keyStreams != 0 && k.streams >= keyStreams:
		return Slot{}, PerKey
	case visitorStreams != 0 && open >= visitorStreams:
		return Slot{}, PerVisitor
	}
	if k.visitorStreams == nil {
		k.visitorStreams = map[visitorID]int{}
	}
	k.streams++
	k.visitorStreams[visitor.id]++
	return Slot{limiter: l, key: key, visitor: visitor.id}, None
}

// Release counts the stream as closed. It does nothing if the slot is empty, so it may be called again.
func (s *Slot) Release() {
	if s.limiter == nil {
		return
	}
	slot := *s
	*s = Slot{}
	if slot.releaser == nil {
		slot.limiter.release(slot.key, slot.visitor)
		return
	}
	slot.releaser.Release(slot.key, slot.visitor, func() { slot.limiter.release(slot.key, slot.visitor) })
}

func (l *Limiter) release(key string, visitor visitorID) {
	s := l.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[key]
	if k == nil || k.visitorStreams[visitor] == 0 {
		return // a copy of the slot was released
	}
	k.streams--
	if n := k.visitorStreams[visitor] - 1; n > 0 {
		k.visitorStreams[visitor] = n
	} else {
		delete(k.visitorStreams, visitor)
	}
}
