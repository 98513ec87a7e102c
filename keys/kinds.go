package keys

import (
	"slices"
	"time"

	"github.com/docsgate/docsgate/policy"
)

// KindCounts are numbers of active keys by the kind of their policies.
type KindCounts struct {
	None        int // without a kind: they work in pages and on servers
	Publishable int // restricted to pages
	AnyPage     int // publishable, with the origin "*"
	Secret      int

	TokenLimited int // of any kind, with a limit of tokens per day of their own
	Unlimited    int // not secret, and their own limits bound neither the requests of a visitor nor those of the key
}

func (c *KindCounts) add(k *Key) {
	if k.Policy != nil && k.Policy.Limits.TokensPerDay.Count() > 0 {
		c.TokenLimited++
	}
	if k.Policy != nil && k.Policy.Kind != policy.Secret && k.Policy.Limits.VisitorRequests == policy.Off() &&
		k.Policy.Limits.Requests.Rate().IsZero() {
		c.Unlimited++
	}
	switch {
	case k.Policy == nil || k.Policy.Kind == policy.AnyKind:
		c.None++
	case k.Policy.Kind == policy.Secret:
		c.Secret++
	case slices.ContainsFunc(k.Policy.Origins, policy.Origin.IsAny):
		c.AnyPage++
	default:
		c.Publishable++
	}
}

// Kinds returns the number of active keys by kind at the time now. It is as cheap as Counts.
func (s *Store) Kinds(now time.Time) KindCounts {
	s.countsMu.Lock()
	defer s.countsMu.Unlock()
	return s.currentCounts(now).byKind
}
