package keys

import (
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// BindingKind says which of the two bindings a key has.
type BindingKind uint8

// The kinds of binding.
const (
	SourceBinding BindingKind = iota + 1 // to sources of DocsGPT, by their ids
	AgentBinding                         // to a key of DocsGPT's own, swapped in for the token
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
	Sources []string // ids of DocsGPT sources in their canonical form, without repeats
	Agent   Secret   // the upstream DocsGPT key
}

// Kind tells the bindings apart. It is zero ("none") if neither or both are set; a stored key never has such a binding.
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

// State is what the operator says about a key.
type State uint8

// The states of a key.
const (
	Active   State = iota // the zero value: the key counts, within its bounds in time
	Disabled              // the key is refused until it is enabled again
	Revoked               // the key is refused for ever
	Unusable              // the key is refused as long as its binding cannot be known, say for a variable that is not set
)

// String returns the state as a word: "active", "disabled", "revoked" or "unusable".
func (s State) String() string {
	switch s {
	case Active:
		return "active"
	case Revoked:
		return "revoked"
	case Unusable:
		return "unusable"
	default:
		return "disabled"
	}
}

// ParseState reads the words that an operator may give a key, "active" and "disabled". The error does not repeat the text.
func ParseState(s string) (State, error) {
	switch s {
	case "active":
		return Active, nil
	case "disabled":
		return Disabled, nil
	default:
		return Disabled, errors.New(`a state is "active" or "disabled"`)
	}
}

// OldToken is a token that another has replaced, and that counts for a while yet.
type OldToken struct {
	Digest Digest
	Until  time.Time // it counts until just before this time
}

// Key is the record of one key. Once stored it is shared between goroutines and never changes, so what Lookup, Get and
// Verify return is to be read only; the slices are part of that.
type Key struct {
	ID      string // public, stable, unique over all feeds; the only name of the key in logs
	Name    string // for people
	Binding Binding
	Digest  Digest // of the token; unique over all feeds
	State   State

	// The key counts from NotBefore on and until just before Expires. A zero time means no bound.
	NotBefore, Expires time.Time

	Old     []OldToken // tokens that Digest's has replaced; their digests are unique over all feeds, too
	Hint    string     // the token's last four characters, see Hint; empty if the feed does not know them
	Created time.Time  // zero if the feed does not know it
	Facts   *Facts     // what DocsGPT says about an agent; nil if the feed does not know it

	Feed string // name of the feed that the key came from; set by the store
}

// Facts are what DocsGPT itself keeps about an agent whose key was adopted. DocsGPT holds to them; here they are for people
// and for policies. They never change once stored.
type Facts struct {
	Owner   string   // the account that the agent belongs to
	Status  string   // as DocsGPT writes it, such as "published" or "draft"; empty if it has none
	Sources []string // ids of the agent's sources

	RequestsPerDay, TokensPerDay int // 0: no limit

	// Origins are the web origins that may use the agent. It is meaningful only with OnlyOrigins.
	Origins     []string
	OnlyOrigins bool
}

func (f *Facts) same(o *Facts) bool {
	if f == nil || o == nil {
		return f == o
	}
	return f.Owner == o.Owner && f.Status == o.Status && slices.Equal(f.Sources, o.Sources) &&
		f.RequestsPerDay == o.RequestsPerDay && f.TokensPerDay == o.TokensPerDay &&
		slices.Equal(f.Origins, o.Origins) && f.OnlyOrigins == o.OnlyOrigins
}

// check holds for what no store may contain, whatever the feed let through.
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
	case slices.ContainsFunc(k.Old, func(o OldToken) bool { return o.Digest.IsZero() }):
		return fmt.Errorf("key %s has an old token without a digest", k.ID)
	case k.repeatsDigest():
		return fmt.Errorf("key %s has the same token twice", k.ID)
	default:
		return nil
	}
}

// repeatsDigest tells whether two of the key's tokens are one.
func (k *Key) repeatsDigest() bool {
	for i := range k.Old {
		d := k.Old[i].Digest
		if d == k.Digest || slices.ContainsFunc(k.Old[:i], func(o OldToken) bool { return o.Digest == d }) {
			return true
		}
	}
	return false
}

// SourceIDs returns the sources that the key answers from: those that it is bound to, or those of its agent as far as
// they are known.
func (k *Key) SourceIDs() []string {
	if len(k.Binding.Sources) == 0 && k.Facts != nil {
		return k.Facts.Sources
	}
	return k.Binding.Sources
}

// digests calls yield for the digest of each of the key's tokens, old ones included.
func (k *Key) digests(yield func(*Digest) bool) {
	if !yield(&k.Digest) {
		return
	}
	for i := range k.Old {
		if !yield(&k.Old[i].Digest) {
			return
		}
	}
}

// has tells whether the digest is of one of the key's tokens.
func (k *Key) has(d *Digest) bool {
	if k.Digest == *d {
		return true
	}
	return slices.ContainsFunc(k.Old, func(o OldToken) bool { return o.Digest == *d })
}

// same reports whether two keys mean the same, so that the stored one can stay.
func (k *Key) same(o *Key) bool {
	return k.ID == o.ID && k.Name == o.Name && k.Digest == o.Digest && k.State == o.State && k.Feed == o.Feed &&
		k.NotBefore.Equal(o.NotBefore) && k.Expires.Equal(o.Expires) && k.Created.Equal(o.Created) && k.Hint == o.Hint && k.Facts.same(o.Facts) &&
		slices.EqualFunc(k.Old, o.Old, func(a, b OldToken) bool { return a.Digest == b.Digest && a.Until.Equal(b.Until) }) &&
		k.Binding.Agent.Equal(o.Binding.Agent) && slices.Equal(k.Binding.Sources, o.Binding.Sources)
}

// Standing is what the key is at a time, whichever token is shown: Allowed, DisabledKey, RevokedKey, UnusableKey,
// NotYetValid or Expired.
func (k *Key) Standing(now time.Time) Reason {
	switch {
	case k.State == Revoked:
		return RevokedKey
	case k.State == Unusable:
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

// decide is the outcome for one of the key's tokens at a time.
func (k *Key) decide(d *Digest, now time.Time) Decision {
	if k.Digest == *d {
		return Decision{Key: k, Reason: k.Standing(now)}
	}
	for i := range k.Old {
		if o := &k.Old[i]; o.Digest == *d {
			reason := k.Standing(now)
			if reason == Allowed && !now.Before(o.Until) {
				reason = Replaced
			}
			return Decision{Key: k, Reason: reason, Old: true}
		}
	}
	return Decision{Reason: Unknown}
}

// record is a key as it is stored. The key never changes; retired is set once, when the record has left the store.
type record struct {
	Key
	retired atomic.Bool
}
