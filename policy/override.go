package policy

import "slices"

// Override returns the policy of a key whose own policy is base, with the fields that p sets in their place. Either may be nil. Origins
// are those that both allow, since base may come from another system, which does not check them itself. ok is false if no origin is
// left: then no page may use the key, while a policy without origins would allow every page.
func (p *Policy) Override(base *Policy) (result *Policy, ok bool) {
	switch {
	case p == nil:
		return base, true
	case base == nil:
		return p, true
	}
	r := *base
	if p.Kind != AnyKind {
		r.Kind = p.Kind
	}
	if r.Origins, ok = bothAllow(p.Origins, base.Origins); !ok {
		return nil, false
	}
	if r.Kind == Secret {
		r.Origins = nil // browsers must not present it at all
	}
	if len(p.IPs) > 0 {
		r.IPs = p.IPs
	}
	if len(p.Endpoints) > 0 {
		r.Endpoints = p.Endpoints
	}
	if p.Visitors != VisitorsOff {
		r.Visitors = p.Visitors
	}
	r.Limits = p.Limits.Or(&base.Limits)
	if p.LimitMessage != "" {
		r.LimitMessage = p.LimitMessage
	}
	return &r, true
}

// bothAllow returns patterns for the origins that both lists allow. An empty list allows all. ok is false if nothing is left. Of two
// patterns for subdomains that overlap without being equal, neither is part of the result.
func bothAllow(a, b []Origin) (both []Origin, ok bool) {
	switch {
	case len(a) == 0:
		return b, true
	case len(b) == 0:
		return a, true
	}
	for _, lists := range [2][2][]Origin{{a, b}, {b, a}} {
		for _, o := range lists[0] {
			if allowsPattern(lists[1], o) && !slices.Contains(both, o) {
				both = append(both, o)
			}
		}
	}
	return both, len(both) > 0
}

// allowsPattern reports whether patterns certainly allow all that another one does.
func allowsPattern(patterns []Origin, o Origin) bool {
	if o.IsExact() || o.scheme == nullOrigin {
		return AllowsOrigin(patterns, o.String())
	}
	return slices.ContainsFunc(patterns, func(p Origin) bool { return p.IsAny() || p == o })
}
