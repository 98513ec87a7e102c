package docsgptkeys

import (
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
)

// restrictionOf returns the policy that DocsGPT's own settings of an agent amount to; nil if they restrict nothing. The gate enforces
// them, too, since it rejects faster and also what DocsGPT does not check. usable is false if no client can satisfy them: an agent that is
// restricted to origins, of which none is valid, must not become one without restrictions.
func restrictionOf(f *keys.AgentInfo) (p *policy.Policy, usable bool) {
	if !f.RestrictOrigins {
		return nil, true
	}
	origins := make([]policy.Origin, 0, min(len(f.Origins), policy.MaxOrigins))
	for _, text := range f.Origins {
		o, err := policy.ParseOrigin(text)
		// In DocsGPT an origin is always exact. An entry like "*" is invalid there, so here it must not allow every page.
		if err != nil || !o.IsExact() || len(origins) == policy.MaxOrigins {
			continue
		}
		origins = append(origins, o)
	}
	if len(origins) == 0 {
		return nil, false
	}
	return &policy.Policy{Origins: origins}, true
}
