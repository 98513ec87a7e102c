package pgstore_test

import (
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/policy"
	"github.com/docsgate/docsgate/visitortoken"
)

// Tokens of visitors are valid at all gates, also during the grace period of a secret that was replaced at one of them.
func TestVisitorTokensOfGates(t *testing.T) {
	o := options(pgtest.Database(t))
	path := secretPath(t)
	a := startGateWithSecret(t, o, path)
	made, err := a.Create(t.Context(), alice, registry.CreateRequest{
		Name: "Docs", Sources: []string{"7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10"}, Policy: &policy.Policy{Visitors: policy.VisitorsRequired},
	})
	if err != nil {
		t.Fatal(err)
	}
	b := startGateWithSecret(t, o, copySecret(t, path))
	sign := func(secret keys.Secret) string {
		key, err := visitortoken.NewSecret(secret.Reveal())
		if err != nil {
			t.Fatal(err)
		}
		token, err := visitortoken.Sign(visitortoken.Request{KeyID: made.Record.ID, Visitor: "u-42", Lifetime: time.Hour}, time.Now(), key)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	first := sign(made.SignSecret)
	a.wait(t, first, keys.Allowed)
	b.wait(t, first, keys.Allowed)
	created, err := b.RotateSignSecret(t.Context(), alice, made.Record.ID, nil, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	second := sign(created.Secret)
	for _, g := range []*gate{a, b} {
		g.wait(t, second, keys.Allowed)
		if got := g.Verify(first, time.Now()).Reason; got != keys.Allowed {
			t.Errorf("during the grace period a token of the earlier secret is %s", got)
		}
	}
	if err := a.EndSignGrace(t.Context(), alice, made.Record.ID, nil); err != nil {
		t.Fatal(err)
	}
	for _, g := range []*gate{a, b} {
		g.wait(t, first, keys.VisitorTokenInvalid)
		g.wait(t, second, keys.Allowed)
	}
}
