package history

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// state is a possible state of a key.
type state struct {
	exists, disabled, revoked bool
	token                     int // number of the current token
}

// apply returns the state after a change.
func (s state) apply(o *Op) state {
	switch {
	case o.Kind == Create:
		return state{exists: true, token: o.Token}
	case !s.exists || s.revoked:
		return s
	case o.Kind == Revoke:
		s.revoked = true
	case o.Kind == Disable:
		s.disabled = true
	case o.Kind == Enable:
		s.disabled = false
	case o.Kind == Rotate:
		s.token = o.Token
	}
	return s
}

// accepts reports whether a token is valid.
func (s state) accepts(token int) bool {
	return s.exists && !s.disabled && !s.revoked && s.token == token
}

// timeline are the changes of a key that may have had an effect, and the possible states after each of them.
type timeline struct {
	changes []Op
	states  []map[state]bool // states[i]: after the first i changes
}

func newTimeline(changes []Op) *timeline {
	slices.SortFunc(changes, func(a, b Op) int { return cmp.Compare(a.Begin, b.Begin) })
	t := &timeline{changes: changes, states: []map[state]bool{{state{}: true}}}
	var unknown []*Op
	for i := range changes {
		o, next := &changes[i], map[state]bool{}
		if o.Outcome == Unknown {
			unknown = append(unknown, o)
		}
		for s := range t.states[i] {
			if o.Outcome == Unknown {
				next[s] = true
			}
			next[s.apply(o)] = true
		}
		// What is unknown may take effect at any later time, in any order.
		for range unknown {
			for s := range next {
				for _, o := range unknown {
					next[s.apply(o)] = true
				}
			}
		}
		t.states = append(t.states, next)
	}
	return t
}

// explains reports whether a response is possible after the first i changes.
func (t *timeline) explains(i int, o *Op) bool {
	for s := range t.states[i] {
		if s.accepts(o.Token) == (o.Outcome == Valid || o.Outcome == Limited) {
			return true
		}
	}
	return false
}

// Verify returns the responses that are not explained. For each gate, the changes of a key that it has observed can only increase. Requests
// are neither unlimited nor limited too early.
func (h *History) Verify(r Rules) []Violation {
	changes := map[int][]Op{}
	var checks []Op
	for _, o := range h.Ops {
		switch {
		case o.Kind == Check && o.Outcome == Unknown:
		case o.Kind == Check:
			checks = append(checks, o)
		case o.Outcome != Rejected:
			changes[o.Key] = append(changes[o.Key], o)
		}
	}
	timelines := map[int]*timeline{}
	for key, of := range changes {
		timelines[key] = newTimeline(of)
	}
	slices.SortFunc(checks, func(a, b Op) int { return cmp.Compare(a.Begin, b.Begin) })
	v := &verifier{h: h, rules: r, seen: map[place][]observation{}}
	for i := range checks {
		t := timelines[checks[i].Key]
		if t == nil {
			t = newTimeline(nil)
		}
		v.verify(&checks[i], t)
	}
	return append(v.found, h.verifyLimits(r)...)
}

// place is a key at a gate.
type place struct{ node, key int }

// observation is that a gate had seen some changes of a key, at least.
type observation struct {
	at      time.Duration
	changes int
}

type verifier struct {
	h     *History
	rules Rules
	seen  map[place][]observation
	found []Violation
}

func (v *verifier) verify(o *Op, t *timeline) {
	least, connected := v.visible(o, t)
	most := 0
	for most < len(t.changes) && t.changes[most].Begin <= o.End {
		most++
	}
	fail := func(message string) {
		v.found = append(v.found, Violation{Op: *o, Message: message, Changes: t.changes})
	}
	if o.Outcome == Unavailable {
		switch {
		case connected:
			fail("a connected gate cannot decide")
		case t.always(least, most, o.Token):
			fail("a gate without a connection cannot decide on a key that it knows")
		}
		return
	}
	at := place{o.Node, o.Key}
	observed := 0
	for _, s := range v.seen[at] {
		if s.at <= o.Begin {
			observed = max(observed, s.changes)
		}
	}
	for i := max(least, observed); i <= most; i++ {
		if t.explains(i, o) {
			v.seen[at] = append(v.seen[at], observation{o.End, i})
			return
		}
	}
	for i := least; i <= most; i++ {
		if t.explains(i, o) {
			fail(fmt.Sprintf("the gate has forgotten a change that it had observed: %d changes, of at least %d", i, observed))
			return
		}
	}
	fail(fmt.Sprintf("after %d to %d changes this is not possible", least, most))
}

// always reports whether a token is valid after each number of changes.
func (t *timeline) always(least, most, token int) bool {
	for i := least; i <= most; i++ {
		for s := range t.states[i] {
			if !s.accepts(token) {
				return false
			}
		}
	}
	return true
}

// visible returns how many changes of a key the gate must have seen when a check begins, and whether it is connected then.
func (v *verifier) visible(o *Op, t *timeline) (least int, connected bool) {
	horizon := v.horizon(o.Node, o.Begin)
	arrived := horizon - v.rules.Propagation - v.lag(o.Node, horizon-v.rules.Propagation, horizon)
	for i := range t.changes {
		c := &t.changes[i]
		own := c.Node == o.Node && c.End <= o.Begin && v.connectedSince(o.Node, c.Begin, o.Begin)
		if c.Outcome == OK && (c.End <= arrived || own) {
			least = i + 1
		}
	}
	return least, horizon >= o.Begin && v.connectedSince(o.Node, o.Begin, o.End)
}

// horizon returns the last time, up to t, at which a gate was connected.
func (v *verifier) horizon(node int, t time.Duration) time.Duration {
	horizon := t
	for _, d := range slices.Backward(v.h.Disconnected[node]) {
		if d.From < horizon && horizon < d.To+v.rules.Recovery {
			horizon = d.From
		}
	}
	return horizon
}

// connectedSince reports whether a gate was connected all the time.
func (v *verifier) connectedSince(node int, from, to time.Duration) bool {
	for _, d := range v.h.Disconnected[node] {
		if d.From <= to && from < d.To+v.rules.Recovery {
			return false
		}
	}
	return true
}

// lag returns the duration of the slowest control request in a time.
func (v *verifier) lag(node int, from, to time.Duration) (slowest time.Duration) {
	for _, s := range v.h.Control[node] {
		if s.Begin <= to && s.End >= from {
			slowest = max(slowest, s.End-s.Begin)
		}
	}
	return slowest
}
