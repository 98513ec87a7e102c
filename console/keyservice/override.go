package keyservice

import (
	"context"
	"errors"
	"strings"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/policy"
)

// fileFeedPrefix begins the names of feeds of key files. Their keys are only changed in the file, which can have every field.
const fileFeedPrefix = "file:"

// UpdateKey changes a key of any feed. It is Update for a key of the registry. Of other keys, only the state and the policy can be
// changed, and of those of a key file nothing (*ReadOnlyError).
func (d *Service) UpdateKey(ctx context.Context, by registry.Actor, id string, change registry.UpdateRequest) (Key, error) {
	rec, err := d.Update(ctx, by, id, change)
	if err == nil {
		return d.FromRecord(rec), nil
	}
	if !errors.Is(err, registry.ErrNotFound) {
		return Key{}, err
	}
	k, err := d.original(id, err)
	if err != nil {
		return Key{}, err
	}
	if err := d.Registry.UpdateOverride(ctx, by, k, change); err != nil {
		return Key{}, err
	}
	return d.Show(ctx, id)
}

// original returns a key as another feed has it, to change what the registry stores about it. notFound is the error if no other feed
// has the key. A key of a key file is a *ReadOnlyError.
func (d *Service) original(id string, notFound error) (*keys.Key, error) {
	k := d.Store.Original(id)
	switch {
	case k == nil || k.Feed == d.Feed:
		return nil, notFound
	case strings.HasPrefix(k.Feed, fileFeedPrefix):
		return nil, &ReadOnlyError{k.Feed}
	}
	return k, nil
}

// Overridable reports whether the state and the policy of a key of another feed can be changed.
func (v Key) Overridable() bool { return !v.Issued && !strings.HasPrefix(v.Feed, fileFeedPrefix) }

// addOverride adds what the registry has changed of a key of another feed.
func (d *Service) addOverride(v *Key, k *keys.Key) {
	o := d.Registry.Override(k.ID)
	if o == nil {
		return
	}
	if v.Overrides = OverriddenFields(o); o.Policy == nil {
		return
	}
	if k.State == keys.BindingUnavailable {
		if original := d.Store.Original(k.ID); original != nil && original.State == keys.Active {
			v.UnusableReason = "none of the origins that are set here is one that the key is restricted to in its feed"
		}
	}
}

// OverriddenFields returns the names of the fields that an override changes: "state", "kind", "origins", ...
func OverriddenFields(o *registry.Override) (names []string) {
	p, s := o.Policy, o.Signing
	if p == nil {
		p = new(policy.Policy)
	}
	if s == nil {
		s = new(registry.Signing)
	}
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"state", o.Disabled},
		{"kind", p.Kind != policy.AnyKind},
		{"origins", len(p.Origins) > 0},
		{"ips", len(p.IPs) > 0},
		{"endpoints", len(p.Endpoints) > 0},
		{"visitors", p.Visitors != policy.VisitorsOff},
		{"limits", p.Limits != policy.Limits{}},
		{"limit_message", p.LimitMessage != ""},
		{"sign_secrets", len(s.Secrets) > 0},
		{"sign_public_key", len(s.PublicKeys) > 0},
		{"generation", s.Generation > 0},
	} {
		if field.set {
			names = append(names, field.name)
		}
	}
	return names
}
