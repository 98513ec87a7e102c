package keys

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/docsgate/docsgate/policy"
	"github.com/docsgate/docsgate/visitortoken"
)

// BindingKind is the kind of a key's binding.
type BindingKind uint8

// The kinds of binding.
const (
	SourceBinding BindingKind = iota + 1 // to sources of DocsGPT, by ID
	AgentBinding                         // to a key of DocsGPT itself, which replaces the token upstream
)

// String returns "source", "agent", or "none" for the zero value.
func (k BindingKind) String() string {
	switch k {
	case SourceBinding:
		return "source"
	case AgentBinding:
		return "agent"
	default:
		return "none"
	}
}

// Binding is what a key is bound to. Exactly one of the fields is set.
type Binding struct {
	Sources []string // IDs of DocsGPT sources in canonical form, without duplicates
	Agent   Secret   // the upstream DocsGPT key
}

// Kind returns which field of the binding is set. It is zero ("none") if neither or both are set; a stored key never has such a
// binding.
func (b Binding) Kind() BindingKind {
	switch {
	case len(b.Sources) > 0 && b.Agent.IsZero():
		return SourceBinding
	case len(b.Sources) == 0 && !b.Agent.IsZero():
		return AgentBinding
	default:
		return 0
	}
}

// State is the state that the operator has given a key.
type State uint8

// The states of a key.
const (
	Active             State = iota // the zero value: the key is valid within its time bounds
	Disabled                        // the key is rejected until it is enabled again
	Revoked                         // the key is rejected permanently
	BindingUnavailable              // the key is rejected while its binding is unavailable, for example because a variable is not set
)

// String returns the state as a word: "active", "disabled", "revoked" or "unusable".
func (s State) String() string {
	switch s {
	case Active:
		return "active"
	case Revoked:
		return "revoked"
	case BindingUnavailable:
		return "unusable"
	default:
		return "disabled"
	}
}

// ParseState parses the states that an operator may set, "active" and "disabled". The error does not repeat the text.
func ParseState(s string) (State, error) {
	switch s {
	case "active":
		return Active, nil
	case "disabled":
		return Disabled, nil
	default:
		return Disabled, errors.New(`the state must be "active" or "disabled"`)
	}
}

// PreviousToken is a previous token: it was replaced by a rotation and stays valid during the grace period.
type PreviousToken struct {
	Digest Digest
	Until  time.Time // exclusive: the token is no longer valid at this time
}

// Key is the record of one key. A stored key is shared between goroutines and never changes, so the results of Lookup, Get and
// Verify are read-only, including their slices.
type Key struct {
	ID      string // public, stable, unique across all feeds; the only identification of the key in logs
	Name    string // for people
	Binding Binding
	Digest  Digest // of the current token; unique across all feeds
	State   State

	// TokenKind is the kind that the prefix of the token indicates. The kind of the policy may have changed since the token was
	// created. It is only meaningful with a Hint.
	TokenKind policy.Kind

	// The key is valid from NotBefore until just before Expires. A zero time means no bound.
	NotBefore, Expires time.Time

	PreviousTokens []PreviousToken        // previous tokens; their digests are unique across all feeds, too
	Hint           string                 // last four characters of the token, see Hint; empty if the feed does not know them
	Created        time.Time              // zero if the feed does not know it
	Policy         *policy.Policy         // nil: only the defaults of the site apply; never changes once stored
	VisitorTokens  *visitortoken.Settings // verify the signed tokens of visitors; nil: none; never changes once stored
	Facts          *AgentInfo             // DocsGPT's settings of the agent; nil if the feed does not know them

	Feed string // name of the key's feed; set by the store
}

// AgentInfo holds DocsGPT's settings of the agent that a key belongs to, for people. What the gate enforces of them is in the key's
// Policy. They never change once stored.
type AgentInfo struct {
	Owner   string   // account that the agent belongs to
	Status  string   // as DocsGPT spells it, such as "published" or "draft"; empty if the agent has none
	Sources []string // IDs of the agent's sources

	RequestsPerDay, TokensPerDay int // 0: no limit

	// Origins are the web origins that may use the agent. Only meaningful if RestrictOrigins is set.
	Origins         []string
	RestrictOrigins bool
}

func (f *AgentInfo) same(o *AgentInfo) bool {
	if f == nil || o == nil {
		return f == o
	}
	return f.Owner == o.Owner && f.Status == o.Status && slices.Equal(f.Sources, o.Sources) &&
		f.RequestsPerDay == o.RequestsPerDay && f.TokensPerDay == o.TokensPerDay &&
		slices.Equal(f.Origins, o.Origins) && f.RestrictOrigins == o.RestrictOrigins
}

// check returns an error if the key violates an invariant of the store, whatever the feed let through.
func (k *Key) check() error {
	switch {
	case k.ID == "":
		return errors.New("a key has no id")
	case k.Digest.IsZero():
		return fmt.Errorf("key %s has no digest", k.ID)
	case k.Binding.Kind() == 0 && (k.State == Active || len(k.Binding.Sources) > 0):
		return fmt.Errorf("key %s must be bound to either sources or an agent", k.ID)
	case slices.Contains(k.Binding.Sources, ""):
		return fmt.Errorf("key %s is bound to a source without an id", k.ID)
	case slices.ContainsFunc(k.PreviousTokens, func(o PreviousToken) bool { return o.Digest.IsZero() }):
		return fmt.Errorf("key %s has a previous token without a digest", k.ID)
	case k.repeatsDigest():
		return fmt.Errorf("key %s has the same token more than once", k.ID)
	default:
		return nil
	}
}

// repeatsDigest reports whether two of the key's tokens are the same.
func (k *Key) repeatsDigest() bool {
	for i := range k.PreviousTokens {
		d := k.PreviousTokens[i].Digest
		if d == k.Digest || slices.ContainsFunc(k.PreviousTokens[:i], func(o PreviousToken) bool { return o.Digest == d }) {
			return true
		}
	}
	return false
}

// SourceIDs returns the IDs of the sources that the key can query: those that it is bound to, or those of its agent as far as
// they are known.
func (k *Key) SourceIDs() []string {
	if len(k.Binding.Sources) == 0 && k.Facts != nil {
		return k.Facts.Sources
	}
	return k.Binding.Sources
}

// digests iterates over the digests of all the key's tokens, including previous ones.
func (k *Key) digests(yield func(*Digest) bool) {
	if !yield(&k.Digest) {
		return
	}
	for i := range k.PreviousTokens {
		if !yield(&k.PreviousTokens[i].Digest) {
			return
		}
	}
}

// has reports whether the digest belongs to one of the key's tokens.
func (k *Key) has(d *Digest) bool {
	if k.Digest == *d {
		return true
	}
	return slices.ContainsFunc(k.PreviousTokens, func(o PreviousToken) bool { return o.Digest == *d })
}

// equal reports whether two keys are equal in every field, so that the stored one can stay.
func (k *Key) equal(o *Key) bool {
	return k.ID == o.ID && k.Name == o.Name && k.Digest == o.Digest && k.State == o.State && k.Feed == o.Feed &&
		k.NotBefore.Equal(o.NotBefore) && k.Expires.Equal(o.Expires) && k.Created.Equal(o.Created) && k.Hint == o.Hint && k.TokenKind == o.TokenKind &&
		k.Facts.same(o.Facts) && k.Policy.Equal(o.Policy) && k.VisitorTokens.Equal(o.VisitorTokens) &&
		slices.EqualFunc(k.PreviousTokens, o.PreviousTokens, func(a, b PreviousToken) bool { return a.Digest == b.Digest && a.Until.Equal(b.Until) }) &&
		k.Binding.Agent.Equal(o.Binding.Agent) && slices.Equal(k.Binding.Sources, o.Binding.Sources)
}

// Status returns the status of the key at a time, whichever token is presented: Allowed, DisabledKey, RevokedKey,
// UnusableKey, NotYetValid or Expired.
func (k *Key) Status(now time.Time) Reason {
	switch {
	case k.State == Revoked:
		return RevokedKey
	case k.State == BindingUnavailable:
		return UnusableKey
	case k.State != Active:
		return DisabledKey
	case !k.NotBefore.IsZero() && now.Before(k.NotBefore):
		return NotYetValid
	case !k.Expires.IsZero() && !now.Before(k.Expires):
		return Expired
	default:
		return Allowed
	}
}

// Decide returns the decision on one of the key's tokens at a time; UnknownToken if it is not one of them. A zero digest stands for the key
// as such, whichever token is presented.
func (k *Key) Decide(token Digest, now time.Time) Decision {
	switch token {
	case Digest{}:
		return Decision{Key: k, Reason: k.Status(now)}
	case k.Digest:
		return Decision{Key: k, Token: token, Reason: k.requireVisitor(k.Status(now))}
	}
	for i := range k.PreviousTokens {
		if o := &k.PreviousTokens[i]; o.Digest == token {
			reason := k.Status(now)
			if reason == Allowed && !now.Before(o.Until) {
				reason = TokenRotated
			}
			return Decision{Key: k, Token: token, Reason: k.requireVisitor(reason), UsedPreviousToken: true}
		}
	}
	return Decision{Reason: UnknownToken}
}

// ValidUntil returns the first time at which a valid token stops being valid, as far as it is known; zero if there is none.
func (k *Key) ValidUntil(token Digest) time.Time {
	until := k.Expires
	for i := range k.PreviousTokens {
		if o := &k.PreviousTokens[i]; o.Digest == token && (until.IsZero() || o.Until.Before(until)) {
			until = o.Until
		}
	}
	return until
}
