package history

import (
	"fmt"
	"time"
)

// verifyLimits checks the requests of limited keys. Together the gates allow at most twice the limit, and twice the limit more for each fault:
// once by their shares, and once if the server has lost its counters. A request is limited only after at least the smallest share.
func (h *History) verifyLimits(r Rules) (found []Violation) {
	checks := map[int][]*Op{} // by key, in the order of their ends
	for i := range h.Ops {
		if o := &h.Ops[i]; o.Kind == Check {
			checks[o.Key] = append(checks[o.Key], o)
		}
	}
	for i := range h.Ops {
		if created := &h.Ops[i]; created.Limit > 0 {
			found = append(found, h.verifyLimit(r, created, checks[created.Key])...)
		}
	}
	return found
}

func (h *History) verifyLimit(r Rules, created *Op, checks []*Op) (found []Violation) {
	fail := func(o *Op, message string) {
		found = append(found, Violation{Op: *o, Message: message, Changes: []Op{*created}})
	}
	allowed := 0
	for _, o := range checks {
		if o.Outcome != Valid {
			continue
		}
		allowed++
		if most := 2 * created.Limit * (1 + h.limitFaults(r, created.Begin, o.End)); allowed > most {
			fail(o, fmt.Sprintf("%d requests were allowed, and at most %d are possible", allowed, most))
			break
		}
	}
	share := max(created.Limit/r.MaxGates, 1)
	for _, o := range checks {
		if o.Outcome != Limited {
			continue
		}
		begun := 0
		for _, c := range checks {
			if c.Begin <= o.End && (c.Outcome == Valid || c.Outcome == Unknown) {
				begun++
			}
		}
		if begun < share {
			fail(o, fmt.Sprintf("limited after %d requests, with shares of at least %d", begun, share))
			break
		}
	}
	return found
}

// limitFaults returns how many faults there were in a time, or had ended shortly before.
func (h *History) limitFaults(r Rules, from, to time.Duration) (n int) {
	for _, f := range h.LimitFaults {
		if f.From <= to && from < f.To+r.Recovery {
			n++
		}
	}
	return n
}
