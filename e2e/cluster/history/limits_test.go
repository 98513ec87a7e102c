package history

import (
	"strings"
	"testing"
)

// A limit of four requests, and two gates.
func TestLimits(t *testing.T) {
	created := at(0, 0, Create, OK)
	created.Limit = 4
	requests := func(n int, outcome Outcome) (ops []Op) {
		for i := range n {
			ops = append(ops, at(3010, i%2, Check, outcome))
		}
		return ops
	}
	with := func(ops ...[]Op) (all []Op) {
		all = append(all, created)
		for _, o := range ops {
			all = append(all, o...)
		}
		return all
	}
	during, before := Interval{2000 * ms, 9000 * ms}, Interval{From: -9000 * ms, To: -5000 * ms}
	for name, c := range map[string]struct {
		h    History
		want string // part of the only violation; empty: there is none
	}{
		"the gates may be without a connection at any time": {h: History{Ops: with(requests(8, Valid))}},
		"requests are unlimited": {
			h: History{Ops: with(requests(9, Valid))}, want: "9 requests were allowed, and at most 8",
		},
		"a fault": {h: History{Ops: with(requests(16, Valid)), LimitFaults: []Interval{during}}},
		"requests are unlimited during a fault": {
			h: History{Ops: with(requests(17, Valid)), LimitFaults: []Interval{during}}, want: "17 requests were allowed",
		},
		"an earlier fault": {
			h: History{Ops: with(requests(9, Valid)), LimitFaults: []Interval{before}}, want: "9 requests were allowed",
		},
		"limited after a share": {h: History{Ops: with(requests(2, Valid), []Op{at(4000, 1, Check, Limited)})}},
		"limited too early": {
			h: History{Ops: with(requests(1, Valid), []Op{at(4000, 1, Check, Limited)})}, want: "limited after 1 requests",
		},
		"limits are closed during a fault": {
			h:    History{Ops: with([]Op{at(4000, 1, Check, Limited)}), LimitFaults: []Interval{during}},
			want: "limited after 0 requests",
		},
		"requests without a response count": {h: History{Ops: with(requests(2, Unknown), []Op{at(4000, 1, Check, Limited)})}},
		"requests that have begun count": {
			h: History{Ops: with([]Op{at(4000, 1, Check, Limited), at(4005, 1, Check, Valid), at(4005, 0, Check, Valid)})},
		},
		"later requests do not": {
			h:    History{Ops: with([]Op{at(4000, 1, Check, Limited), at(4015, 1, Check, Valid), at(4015, 0, Check, Valid)})},
			want: "limited after 0 requests",
		},
		"only valid tokens are limited": {
			h:    History{Ops: with([]Op{at(3000, 0, Revoke, OK)}, requests(2, Unknown), []Op{at(4500, 1, Check, Limited)})},
			want: "not possible",
		},
		"other outcomes are not allowed requests": {h: History{Ops: with(requests(9, Unknown))}},
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
