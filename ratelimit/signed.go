package ratelimit

import (
	"crypto/sha256"
	"time"
)

// SignedVisitor returns the visitor with a verified name at a key, whatever its address. It differs from all visitors of VisitorID. It
// does not allocate if the key ID and the name have at most 128 bytes together.
func (s *Salt) SignedVisitor(now time.Time, key, name string) Visitor {
	v := s.at(now)
	var buf [sha256.BlockSize + 1 + sha256.Size + 128]byte
	nameSum := sha256.Sum256(append(buf[:0], name...))
	msg := append(append(append(buf[:sha256.BlockSize], 's'), nameSum[:]...), key...) // addresses begin with 0, 4 or 6
	return v.visitor(now, msg)
}
