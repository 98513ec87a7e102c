package docsgptkeys

import (
	"strconv"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
)

// restrictionOf returns the policy that DocsGPT's own settings of an agent amount to; nil if they restrict nothing. The gate enforces
// them, too, since it rejects faster and also what DocsGPT does not check. usable is false if no client can satisfy them: an agent that is
// restricted to origins, of which none is valid, must not become one without restrictions.
func restrictionOf(f *keys.AgentInfo) (p *policy.Policy, usable bool) {
	restriction := policy.Policy{Limits: limitsOf(f)}
	if f.RestrictOrigins {
		if restriction.Origins = originsOf(f.Origins); len(restriction.Origins) == 0 {
			return nil, false
		}
	}
	if restriction.IsZero() {
		return nil, true
	}
	return &restriction, true
}

// originsOf returns the valid origins of a list, at most policy.MaxOrigins.
func originsOf(list []string) []policy.Origin {
	origins := make([]policy.Origin, 0, min(len(list), policy.MaxOrigins))
	for _, text := range list {
		o, err := policy.ParseOrigin(text)
		// In DocsGPT an origin is always exact. An entry like "*" is invalid there, so here it must not allow every page.
		if err != nil || !o.IsExact() || len(origins) == policy.MaxOrigins {
			continue
		}
		origins = append(origins, o)
	}
	return origins
}

// limitsOf returns the limits of an agent. DocsGPT's day is a sliding window of 24 hours, which has at least as many questions as the
// calendar day so far: because of its number of questions the gate rejects none that DocsGPT would answer. Tokens may be estimates.
func limitsOf(f *keys.AgentInfo) (l policy.Limits) {
	for name, n := range map[string]int{"questions_per_day": f.RequestsPerDay, "tokens_per_day": f.TokensPerDay} {
		if n > 0 {
			_ = l.Set(name, strconv.Itoa(n)) // a number that is too large does not limit
		}
	}
	return l
}
