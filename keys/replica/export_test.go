package replica

// CopyRevision returns the revision of the copy, 0 if there is none.
func (s *Storage) CopyRevision() uint64 {
	if known := s.copy.known(); len(known) > 0 {
		return known[0].Revision
	}
	return 0
}
