package history

import (
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

var rules = Rules{Propagation: 1000 * ms, Recovery: 2000 * ms, MaxGates: 2}

// at returns an operation of 10 ms.
func at(begin time.Duration, node int, kind Kind, outcome Outcome) Op {
	return Op{Node: node, Kind: kind, Begin: begin * ms, End: (begin + 10) * ms, Outcome: outcome}
}

func token(o Op, n int) Op { o.Token = n; return o }

func TestVerify(t *testing.T) {
	created := at(0, 0, Create, OK)
	cut := map[int][]Interval{1: {{2000 * ms, 6000 * ms}}}
	slow := map[int][]Sample{1: {{3100 * ms, 3900 * ms}}}
	for name, c := range map[string]struct {
		h    History
		want string // part of the only violation; empty: there is none
	}{
		"a revoked key is valid for a while": {
			h: History{Ops: []Op{created, at(3000, 0, Revoke, OK), at(3900, 1, Check, Valid), at(4100, 1, Check, Invalid)}},
		},
		"a revoked key remains valid": {
			h:    History{Ops: []Op{created, at(3000, 0, Revoke, OK), at(4100, 1, Check, Valid)}},
			want: "not possible",
		},
		"a revoked key remains valid at the gate that has revoked it": {
			h:    History{Ops: []Op{created, at(3000, 0, Revoke, OK), at(3020, 0, Check, Valid)}},
			want: "not possible",
		},
		"on a slow machine a change takes longer": {
			h: History{Ops: []Op{created, at(3000, 0, Revoke, OK), at(4100, 1, Check, Valid)}, Control: slow},
		},
		"but not much longer": {
			h:    History{Ops: []Op{created, at(3000, 0, Revoke, OK), at(4900, 1, Check, Valid)}, Control: slow},
			want: "not possible",
		},
		"a gate without a connection does not know of a revocation": {
			h: History{Ops: []Op{created, at(3000, 0, Revoke, OK), at(5900, 1, Check, Valid), at(7900, 1, Check, Valid)}, Disconnected: cut},
		},
		"a connected gate knows of it some time later": {
			h:    History{Ops: []Op{created, at(3000, 0, Revoke, OK), at(8100, 1, Check, Valid)}, Disconnected: cut},
			want: "not possible",
		},
		"a gate without a connection knows what was before": {
			h:    History{Ops: []Op{created, at(500, 0, Revoke, OK), at(5000, 1, Check, Valid)}, Disconnected: cut},
			want: "not possible",
		},
		"a gate without a connection answers for known keys": {
			h:    History{Ops: []Op{created, at(5000, 1, Check, Unavailable)}, Disconnected: cut},
			want: "a key that it knows",
		},
		"and cannot decide on others": {
			h: History{Ops: []Op{at(3000, 0, Create, OK), at(5000, 1, Check, Unavailable)}, Disconnected: cut},
		},
		"a connected gate can": {
			h:    History{Ops: []Op{at(3000, 0, Create, OK), at(5000, 0, Check, Unavailable)}, Disconnected: cut},
			want: "a connected gate cannot decide",
		},
		"an acknowledged key is lost": {
			h:    History{Ops: []Op{created, at(2000, 1, Check, Invalid)}},
			want: "not possible",
		},
		"a key of an unknown outcome may exist or not": {
			h: History{Ops: []Op{at(0, 0, Create, Unknown), at(3000, 1, Check, Invalid), at(5000, 1, Check, Valid)}},
		},
		"a revocation of an unknown outcome may have happened": {
			h: History{Ops: []Op{created, at(3000, 0, Revoke, Unknown), at(5000, 1, Check, Valid), at(7000, 1, Check, Invalid)}},
		},
		"a rejected change has no effect": {
			h:    History{Ops: []Op{created, at(3000, 0, Revoke, Rejected), at(5000, 1, Check, Invalid)}},
			want: "not possible",
		},
		"a disabled key that is enabled again": {
			h: History{Ops: []Op{
				created, at(2000, 0, Disable, OK), at(4000, 1, Check, Invalid), at(4100, 0, Enable, OK),
				at(4300, 1, Check, Invalid), at(5200, 1, Check, Valid),
			}},
		},
		"an enabled key remains disabled": {
			h:    History{Ops: []Op{created, at(2000, 0, Disable, OK), at(4100, 0, Enable, OK), at(5200, 1, Check, Invalid)}},
			want: "not possible",
		},
		"tokens of a rotation": {
			h: History{Ops: []Op{created, token(at(2000, 0, Rotate, OK), 1), at(4000, 1, Check, Invalid), token(at(4000, 1, Check, Valid), 1)}},
		},
		"a replaced token remains valid": {
			h:    History{Ops: []Op{created, token(at(2000, 0, Rotate, OK), 1), at(4000, 1, Check, Valid)}},
			want: "not possible",
		},
		"a gate forgets a revocation while it is not connected": {
			h: History{
				Ops:          []Op{created, at(1900, 0, Revoke, OK), at(1950, 1, Check, Invalid), at(4000, 1, Check, Valid)},
				Disconnected: cut,
			},
			want: "has forgotten a change",
		},
		"two gates may know different changes": {
			h: History{
				Ops:          []Op{created, at(1900, 0, Revoke, OK), at(1950, 2, Check, Invalid), at(4000, 1, Check, Valid)},
				Disconnected: cut,
			},
		},
		"a key that was never created": {
			h:    History{Ops: []Op{at(1000, 0, Check, Valid)}},
			want: "not possible",
		},
	} {
		t.Run(name, func(t *testing.T) {
			found := c.h.Verify(rules)
			switch {
			case c.want == "" && len(found) > 0:
				t.Errorf("a violation:\n%s", &found[0])
			case c.want != "" && (len(found) != 1 || !strings.Contains(found[0].Message, c.want)):
				t.Errorf("violations %v, want one with %q", found, c.want)
			}
		})
	}
}

// Concurrent checks may observe different changes.
func TestConcurrentChecks(t *testing.T) {
	long := Op{Node: 1, Kind: Check, Begin: 2500 * ms, End: 3500 * ms, Outcome: Valid}
	h := History{Ops: []Op{at(0, 0, Create, OK), at(3000, 0, Revoke, OK), at(3050, 1, Check, Invalid), long}}
	if found := h.Verify(rules); len(found) > 0 {
		t.Errorf("%v", found)
	}
}
