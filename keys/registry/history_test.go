package registry_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

// model is a simple model of a key.
type model struct {
	id                 string
	state              keys.State
	notBefore, expires time.Time
	current            string
	previous           []previousToken // newest first
	removed            []string
	writes             int
}

type previousToken struct {
	text  string
	until time.Time
}

// want returns the expected decision on a token of the key.
func (m *model) want(token string, now time.Time) keys.Reason {
	reason := keys.Allowed
	switch {
	case m.state == keys.Revoked:
		reason = keys.RevokedKey
	case m.state == keys.Disabled:
		reason = keys.DisabledKey
	case !m.notBefore.IsZero() && now.Before(m.notBefore):
		reason = keys.NotYetValid
	case !m.expires.IsZero() && !now.Before(m.expires):
		reason = keys.Expired
	}
	for _, o := range m.previous {
		if o.text == token && reason == keys.Allowed && !now.Before(o.until) {
			return keys.TokenRotated
		}
	}
	for _, g := range m.removed {
		if g == token {
			return keys.UnknownToken
		}
	}
	return reason
}

// written models a write: expired tokens are removed, and those that exceed the maximum.
func (m *model) written(now time.Time) {
	m.writes++
	var kept []previousToken
	for _, o := range m.previous {
		if now.Before(o.until) && len(kept) < 5 {
			kept = append(kept, o)
		} else {
			m.removed = append(m.removed, o.text)
		}
	}
	m.previous = kept
}

func (m *model) tokens() []string {
	all := append([]string{m.current}, m.removed...)
	for _, o := range m.previous {
		all = append(all, o.text)
	}
	return all
}

// TestRandomOperations executes random operations on keys, and checks the decision on each token after each step.
func TestRandomOperations(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 17))
			d := newRegistryTest(t)
			var all []*model
			for step := range 150 {
				if len(all) == 0 || random.IntN(15) == 0 {
					id, token := d.create()
					all = append(all, &model{id: id, current: token, writes: 1})
				}
				what := d.step(random, all[random.IntN(len(all))])
				for _, m := range all {
					for _, token := range m.tokens() {
						if got, want := d.reason(token), m.want(token, d.now()); got != want {
							t.Fatalf("step %d, %s: a token is %s, want %s", step, what, got, want)
						}
					}
				}
			}
			d.assertNoSecretStored()
			entries := map[string]int{}
			for _, e := range d.auditTrail() {
				entries[e.Key]++
			}
			for _, m := range all {
				if entries[m.id] != m.writes {
					t.Errorf("%d entries for %d changes", entries[m.id], m.writes)
				}
			}
		})
	}
}

// step executes a random operation on a key and its model, and returns its name.
func (d *registryTest) step(random *rand.Rand, m *model) string {
	d.t.Helper()
	ctx, now := d.t.Context(), d.now()
	expired := !m.expires.IsZero() && !now.Before(m.expires)
	edit := func(e registry.UpdateRequest, change func()) {
		_, err := d.Update(ctx, alice, m.id, e)
		switch {
		case m.state == keys.Revoked && !errors.Is(err, registry.ErrRevoked), m.state != keys.Revoked && err != nil:
			d.t.Fatal(err)
		case err == nil:
			before := *m
			change()
			if before.state != m.state || !before.notBefore.Equal(m.notBefore) || !before.expires.Equal(m.expires) {
				m.written(now)
			}
		}
	}
	switch random.IntN(9) {
	case 0:
		edit(registry.UpdateRequest{State: pointer(keys.Disabled)}, func() { m.state = keys.Disabled })
		return "disable"
	case 1:
		edit(registry.UpdateRequest{State: pointer(keys.Active)}, func() { m.state = keys.Active })
		return "enable"
	case 2, 3:
		grace := time.Duration(random.IntN(4)) * time.Hour
		made, err := d.Rotate(ctx, alice, m.id, grace)
		if m.state == keys.Revoked || expired {
			if err == nil {
				d.t.Fatal("a revoked or expired key was rotated")
			}
			return "rejected rotation"
		}
		if err != nil {
			d.t.Fatal(err)
		}
		if grace == 0 {
			for _, o := range m.previous {
				m.removed = append(m.removed, o.text)
			}
			m.previous, m.removed = nil, append(m.removed, m.current)
		} else {
			m.previous = append([]previousToken{{m.current, now.Add(grace)}}, m.previous...)
		}
		m.current = d.hide(made.Token.Reveal())
		m.written(now)
		return "rotate with " + grace.String()
	case 4:
		bound := now.Add(time.Duration(random.IntN(5)-1) * time.Hour)
		edit(registry.UpdateRequest{Expires: &bound, NotBefore: &time.Time{}}, func() { m.expires, m.notBefore = bound, time.Time{} })
		return "expires"
	case 5:
		bound := now.Add(time.Duration(random.IntN(3)-1) * time.Hour)
		edit(registry.UpdateRequest{NotBefore: &bound, Expires: &time.Time{}}, func() { m.notBefore, m.expires = bound, time.Time{} })
		return "not before"
	case 6:
		if random.IntN(4) > 0 {
			return "nothing"
		}
		if _, err := d.Revoke(ctx, alice, m.id); err != nil {
			d.t.Fatal(err)
		}
		if m.state != keys.Revoked {
			m.state = keys.Revoked
			m.written(now)
		}
		return "revoke"
	case 7:
		d.open()
		return "restart"
	default:
		d.advance(time.Duration(random.IntN(120)) * time.Minute)
		return "time passes"
	}
}
