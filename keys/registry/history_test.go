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

// model is what a key should be, told in the plainest way.
type model struct {
	id                 string
	state              keys.State
	notBefore, expires time.Time
	current            string
	old                []oldToken // the newest first
	gone               []string   // tokens that nobody knows any more
	writes             int
}

type oldToken struct {
	text  string
	until time.Time
}

// want is what a token of the key should decide.
func (m *model) want(token string, now time.Time) keys.Reason {
	standing := keys.Allowed
	switch {
	case m.state == keys.Revoked:
		standing = keys.RevokedKey
	case m.state == keys.Disabled:
		standing = keys.DisabledKey
	case !m.notBefore.IsZero() && now.Before(m.notBefore):
		standing = keys.NotYetValid
	case !m.expires.IsZero() && !now.Before(m.expires):
		standing = keys.Expired
	}
	for _, o := range m.old {
		if o.text == token && standing == keys.Allowed && !now.Before(o.until) {
			return keys.TokenRotated
		}
	}
	for _, g := range m.gone {
		if g == token {
			return keys.UnknownToken
		}
	}
	return standing
}

// written notes one write: tokens that are over leave, and those that are too many.
func (m *model) written(now time.Time) {
	m.writes++
	var kept []oldToken
	for _, o := range m.old {
		if now.Before(o.until) && len(kept) < 5 {
			kept = append(kept, o)
		} else {
			m.gone = append(m.gone, o.text)
		}
	}
	m.old = kept
}

func (m *model) tokens() []string {
	all := append([]string{m.current}, m.gone...)
	for _, o := range m.old {
		all = append(all, o.text)
	}
	return all
}

// TestRandomHistories makes what could happen to keys happen in any order, and looks at each token after each step.
func TestRandomHistories(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(seed, 17))
			d := newDesk(t)
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
			d.searchedAll()
			entries := map[string]int{}
			for _, e := range d.trail() {
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

// step makes one thing happen to a key and its model, and says what.
func (d *desk) step(random *rand.Rand, m *model) string {
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
			return "rotation that is refused"
		}
		if err != nil {
			d.t.Fatal(err)
		}
		if grace == 0 {
			for _, o := range m.old {
				m.gone = append(m.gone, o.text)
			}
			m.old, m.gone = nil, append(m.gone, m.current)
		} else {
			m.old = append([]oldToken{{m.current, now.Add(grace)}}, m.old...)
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
		d.pass(time.Duration(random.IntN(120)) * time.Minute)
		return "time passes"
	}
}
