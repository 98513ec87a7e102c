package usage

// LastUsed returns when the current token of a key was last used, in Unix minutes; 0: never used or not known. It takes no lock.
func (m *Counter) LastUsed(id string) uint32 {
	if m.totals != nil {
		return max(m.lastUsed(id), m.totals.lastUsed(id))
	}
	return m.lastUsed(id)
}

func (m *Counter) lastUsed(id string) uint32 {
	hash := m.hash(id)
	if c := m.shardOf(hash).counters.Load().find(hash, id); c != nil {
		return uint32(c.last.Load())
	}
	return 0
}
