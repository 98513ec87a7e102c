package ratelimit

import (
	"crypto/rand"
	"crypto/sha256"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// visitorID is the truncated HMAC of a key and a client address.
type visitorID [16]byte

// Visitor identifies a visitor of a key. It is opaque and comparable, and does not reveal the client's address. The zero value is
// a visitor, too: that of all clients that the caller does not tell apart.
type Visitor struct {
	id       visitorID
	previous visitorID // that of the day before, or zero
	next     visitorID // that of the day after, or zero; only with shared secrets, shortly before that day
	day      int64     // of id
}

// VisitorIDs are the identifiers of a visitor on consecutive days (UTC). Those that are zero, except Current, are unknown.
type VisitorIDs struct {
	Day                     int64 // of Current, since 1970
	Previous, Current, Next [16]byte
}

// IDs returns the identifiers of the visitor.
func (v *Visitor) IDs() VisitorIDs {
	return VisitorIDs{Day: v.day, Previous: v.previous, Current: v.id, Next: v.next}
}

// ID returns an identifier of the visitor on this day.
func (v *Visitor) ID() [16]byte { return v.id }

// Salt derives visitors from client addresses, with a random salt for each day (UTC). Salts are only in memory, and are discarded
// after the day that follows theirs. Without them, the address of a visitor cannot be found by trying all addresses.
//
// A new day does not replenish the counters. A visitor also knows its ID of the day before, and takes over the counter
// that it had then. Only rates with a Per of more than a day are affected: a visitor without requests for a whole day (UTC)
// begins again.
//
// Several gates know the same visitors if they share the secrets of the days; see Share.
//
// The zero value is ready to use; it must not be copied. It is safe for concurrent use.
type Salt struct {
	mu     sync.Mutex // held while salts changes
	salts  atomic.Pointer[salts]
	shared atomic.Pointer[SharedSecrets] // nil: none
}

// salts are the keys of the HMAC. They are not changed once published.
type salts struct {
	day         int64
	current     hmacKey
	previous    hmacKey
	next        hmacKey
	hasPrevious bool
	hasNext     bool
}

// visitor returns the visitor for a message, the first block of which is overwritten.
func (v *salts) visitor(now time.Time, msg []byte) Visitor {
	visitor := Visitor{id: v.current.sum(msg), day: v.day}
	if v.hasPrevious {
		visitor.previous = v.previous.sum(msg)
	}
	if v.hasNext && now.Unix() >= (v.day+1)*daySeconds-nextDayKnown {
		visitor.next = v.next.sum(msg)
	}
	return visitor
}

// VisitorID returns the visitor with that address at a key. IPv6 addresses count by their /64 prefix, since a client chooses the rest.
// IPv4 addresses mapped to IPv6 count as IPv4 addresses. Zones are ignored. All invalid addresses are one visitor. It does
// not allocate if the key ID has at most 64 bytes.
func (s *Salt) VisitorID(now time.Time, key string, addr netip.Addr) Visitor {
	v := s.at(now)
	var buf [sha256.BlockSize + 9 + 64]byte
	p := prefix(addr)
	msg := append(buf[:sha256.BlockSize], p[:]...)
	return v.visitor(now, append(msg, key...))
}

// prefix returns the part of an address that identifies a visitor. It is unambiguous and has a fixed length.
func prefix(addr netip.Addr) (p [9]byte) {
	switch addr = addr.Unmap(); {
	case addr.Is4():
		a := addr.As4()
		p[0] = 4
		copy(p[1:], a[:])
	case addr.Is6():
		a := addr.As16()
		p[0] = 6
		copy(p[1:], a[:8])
	}
	return p
}

// at returns the salts of a day. Once the day has changed, it stays changed for calls with an earlier time, too.
func (s *Salt) at(now time.Time) *salts {
	day := now.Unix() / daySeconds
	if v := s.salts.Load(); v != nil && v.day >= day {
		return v
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.salts.Load()
	if old != nil && old.day >= day {
		return old
	}
	v := &salts{day: day}
	follows := old != nil && old.day == day-1
	if follows {
		v.previous, v.hasPrevious = old.current, true
	}
	if follows && old.hasNext {
		v.current = old.next
	} else {
		v.current = newHMACKey()
	}
	s.salts.Store(v)
	return v
}

// hmacKey is a key of HMAC-SHA256, with both of its paddings. Package crypto/hmac allocates for each sum.
type hmacKey struct{ inner, outer [sha256.BlockSize]byte }

func newHMACKey() hmacKey {
	var secret [sha256.Size]byte
	rand.Read(secret[:])
	return hmacKeyOf(secret)
}

func hmacKeyOf(secret [sha256.Size]byte) (k hmacKey) {
	copy(k.inner[:], secret[:])
	copy(k.outer[:], secret[:])
	for i := range k.inner {
		k.inner[i] ^= 0x36
		k.outer[i] ^= 0x5c
	}
	return k
}

// sum returns the HMAC of msg after its first block, which it overwrites, truncated to a visitorID.
func (k *hmacKey) sum(msg []byte) (id visitorID) {
	copy(msg, k.inner[:])
	inner := sha256.Sum256(msg)
	var buf [sha256.BlockSize + sha256.Size]byte
	copy(buf[:], k.outer[:])
	copy(buf[sha256.BlockSize:], inner[:])
	outer := sha256.Sum256(buf[:])
	copy(id[:], outer[:])
	return id
}
