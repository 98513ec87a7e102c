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
	Disabled              // the key is refused
)

// String returns "active" or "disabled", the words of the key file.
func (s State) String() string {
	if s == Active {
		return "active"
	}
	return "disabled"
}

// ParseState reads the words of the key file, "active" and "disabled". The error does not repeat the text.
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

// Key is the record of one key. Once stored it is shared between goroutines and never changes, so what Lookup, Get and
// Verify return is to be read only; Sources is part of that.
type Key struct {
	ID      string // public, stable, unique over all feeds; the only name of the key in logs
	Name    string // for people
	Binding Binding
	Digest  Digest // of the token; unique over all feeds
	State   State

	// The key counts from NotBefore on and until just before Expires. A zero time means no bound.
	NotBefore, Expires time.Time

	Feed string // name of the feed that the key came from; set by the store
}

// check holds for what no store may contain, whatever the feed let through.
func (k *Key) check() error {
	switch {
	case k.ID == "":
		return errors.New("a key has no id")
	case k.Digest.IsZero():
		return fmt.Errorf("key %s has no digest", k.ID)
	case k.Binding.Kind() == 0:
		return fmt.Errorf("key %s must be bound to either sources or an agent", k.ID)
	case slices.Contains(k.Binding.Sources, ""):
		return fmt.Errorf("key %s is bound to a source without an id", k.ID)
	default:
		return nil
	}
}

// same reports whether two keys mean the same, so that the stored one can stay.
func (k *Key) same(o *Key) bool {
	return k.ID == o.ID && k.Name == o.Name && k.Digest == o.Digest && k.State == o.State && k.Feed == o.Feed &&
		k.NotBefore.Equal(o.NotBefore) && k.Expires.Equal(o.Expires) &&
		k.Binding.Agent.Equal(o.Binding.Agent) && slices.Equal(k.Binding.Sources, o.Binding.Sources)
}

// standing is the key's outcome at a time: Allowed, DisabledKey, NotYetValid or Expired.
func (k *Key) standing(now time.Time) Reason {
	switch {
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

// record is a key as it is stored. The key never changes; retired is set once, when the record has left the store.
type record struct {
	Key
	retired atomic.Bool
}
