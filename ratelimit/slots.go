package ratelimit

// reserve reserves a slot for a visitor. If all slots are in use, it drops idle visitors of other keys. The caller holds the lock of
// held, unless it is nil.
func (l *Limiter) reserve(now int64, held *shard) bool {
	if l.add() {
		return true
	}
	for i := range l.shards {
		s := &l.shards[i]
		if s.nextIdle.Load() > now {
			continue
		}
		if s != held && !s.mu.TryLock() { // waiting while another lock is held could be a deadlock
			continue
		}
		s.now = max(s.now, now)
		dropped := s.dropIdle(l)
		if s != held {
			s.mu.Unlock()
		}
		if dropped > 0 && l.add() {
			return true
		}
	}
	return false
}

func (l *Limiter) add() bool {
	if l.visitors.Add(1) <= int64(l.maxVisitors) {
		return true
	}
	l.visitors.Add(-1)
	return false
}

// takeSlot reserves a slot for a visitor, and takes it from a key with many visitors if necessary. The caller holds no lock.
func (l *Limiter) takeSlot(now int64) {
	for !l.reserve(now, nil) {
		largest := l.largestClass()
		for i := range l.shards {
			if s := &l.shards[i]; largest > 0 && s.largest.Load() == largest && s.evictLargest(l, now) {
				return
			}
		}
		// The counts have changed in the meantime, so another request has made progress.
	}
}

// evictLargest drops a visitor of a key in the highest size class, and leaves its slot to the caller.
func (s *shard) evictLargest(l *Limiter, now int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = max(s.now, now)
	class := s.largest.Load()
	if class == 0 {
		return false
	}
	s.evict(l, s.classes[class])
	return true
}

// largestClass returns the highest size class of all keys.
func (l *Limiter) largestClass() int32 {
	var class int32
	for i := range l.shards {
		class = max(class, l.shards[i].largest.Load())
	}
	return class
}
