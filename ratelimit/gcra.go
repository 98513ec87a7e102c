package ratelimit

import (
	"math/bits"
	"time"
)

// arrival is the state of GCRA for one counter: the theoretical arrival time of the next request. It is also the time when the
// counter is fully replenished, so a counter whose arrival has passed is idle and need not be stored.
//
// The interval between two requests, Per/Count, is rarely a whole number of nanoseconds. So the fraction is stored, too, and
// the arithmetic is exact.
type arrival struct {
	ns   int64  // since the start of the limiter
	frac uint32 // in units of 1/Count of a nanosecond, less than Count
}

// idle reports whether the counter is fully replenished.
func (a arrival) idle(now int64) bool { return a.ns < now || a.ns == now && a.frac == 0 }

// next returns the arrival after one more request.
func (a arrival) next(r Rate, now int64) arrival {
	if a.idle(now) {
		a = arrival{ns: now}
	}
	per, count := uint64(r.Per), uint64(r.Count)
	a.ns += int64(per / count)
	a.frac += uint32(per % count)
	if a.frac >= uint32(r.Count) {
		a.frac -= uint32(r.Count)
		a.ns++
	}
	return a
}

// wait returns how long a request must wait if it would move the arrival to a: 0 if it is within the limit now.
func (a arrival) wait(r Rate, now int64) time.Duration {
	wait := a.ns - now - int64(r.Per)
	if a.frac > 0 {
		wait++
	}
	return time.Duration(max(wait, 0))
}

// used returns the number of requests that are not replenished, rounded up.
func (a arrival) used(r Rate, now int64) int {
	if a.idle(now) {
		return 0
	}
	hi, lo := bits.Mul64(uint64(a.ns-now), uint64(r.Count))
	lo, carry := bits.Add64(lo, uint64(a.frac), 0)
	hi += carry
	// The quotient does not overflow: the arrival is at most some months ahead, since the limiter's time never moves back.
	quotient, rest := bits.Div64(hi, lo, uint64(r.Per))
	if rest > 0 {
		quotient++
	}
	return int(min(quotient, uint64(r.Count)))
}

// convert returns the arrival for another rate after the same number of used requests.
func (a arrival) convert(from, to Rate, now int64) arrival {
	used := min(a.used(from, now), to.Count)
	hi, lo := bits.Mul64(uint64(used), uint64(to.Per))
	ns, frac := bits.Div64(hi, lo, uint64(to.Count))
	return arrival{ns: now + int64(ns), frac: uint32(frac)}
}

// reset returns the time until the counter is fully replenished, rounded up.
func (a arrival) reset(now int64) time.Duration {
	if a.idle(now) {
		return 0
	}
	if a.frac > 0 {
		a.ns++
	}
	return time.Duration(a.ns - now)
}

// Counter is the state of a counter before a request: the time until it is fully replenished, and the fraction of a nanosecond that is
// missing, in units of 1/Count. The zero value is fully replenished.
type Counter struct {
	NS   int64
	Frac uint32
}

// Decide returns the decision on a request by the counters of a key and of a visitor, which others store. A zero rate means no limit; the
// rates must be in range (see [Rate.Clamp]).
func Decide(keyRate, visitorRate Rate, key, visitor Counter) Decision {
	r := request{keyRate: keyRate, visitorRate: visitorRate}
	keyBefore, visitorBefore := arrival{ns: key.NS, frac: key.Frac}, arrival{ns: visitor.NS, frac: visitor.Frac}
	var keyNext, visitorNext arrival
	if !keyRate.IsZero() {
		keyNext = keyBefore.next(keyRate, 0)
	}
	if !visitorRate.IsZero() {
		visitorNext = visitorBefore.next(visitorRate, 0)
	}
	return decide(&r, keyBefore, keyNext, visitorBefore, visitorNext)
}
