package ratelimit

import (
	"hash/maphash"
	"net/netip"
	"strconv"
	"time"
)

// AddressLimiter limits what a client address may do, whatever key it has, such as presenting unknown tokens. Addresses are those of
// [Salt]: IPv6 counts by /64, and no address is stored. Its memory is that of a [Limiter]. It is safe for concurrent use. Create
// one with NewAddressLimiter.
type AddressLimiter struct {
	limiter *Limiter
	salt    Salt
}

// groups are names in place of keys. They spread the addresses over the locks of the limiter.
var groups = func() (names [shardCount]string) {
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	return names
}()

// NewAddressLimiter returns an AddressLimiter that stores at most that many addresses, or [DefaultMaxVisitors] if maxAddresses is not
// positive.
func NewAddressLimiter(maxAddresses int) *AddressLimiter {
	return &AddressLimiter{limiter: New(maxAddresses)}
}

// Count counts an event of an address unless the rate is exceeded, and returns how long the address must wait, or 0. A zero rate
// means no limit.
func (l *AddressLimiter) Count(now time.Time, addr netip.Addr, rate Rate) time.Duration {
	group := l.group(addr)
	return l.limiter.Allow(now, group, l.salt.VisitorID(now, "", addr), Rate{}, rate).RetryAfter
}

// Wait returns how long an address must wait until its next event is within the rate, or 0. It counts nothing.
func (l *AddressLimiter) Wait(now time.Time, addr netip.Addr, rate Rate) time.Duration {
	if rate.IsZero() {
		return 0
	}
	return l.limiter.visitorWait(l.limiter.since(now), l.group(addr), l.salt.VisitorID(now, "", addr), rate.Clamp())
}

// Stats describes the memory. Visitors are addresses.
func (l *AddressLimiter) Stats() Stats { return l.limiter.Stats() }

func (l *AddressLimiter) group(addr netip.Addr) string {
	p := prefix(addr)
	return groups[maphash.Bytes(l.limiter.seed, p[:])%shardCount]
}

// visitorWait returns how long a visitor of a key must wait for its next request, or 0.
func (l *Limiter) visitorWait(now int64, key string, visitor Visitor, rate Rate) time.Duration {
	s := l.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[key]
	if k == nil {
		return 0
	}
	now = max(now, s.now)
	for _, t := range k.tables {
		if t.rate != rate {
			continue
		}
		item, known := t.find(visitor.id)
		if !known && visitor.previous != (visitorID{}) {
			item, known = t.find(visitor.previous)
		}
		if known {
			return t.arrival(item).next(rate, now).wait(rate, now)
		}
	}
	return 0
}
