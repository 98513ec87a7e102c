package registry_test

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/policy"
	"github.com/docsgate/docsgate/visitortoken"
)

// signed returns a token that a server signs at the current time.
func (d *registryTest) signed(id string, secret keys.Secret, generation uint32) string {
	d.t.Helper()
	key, err := visitortoken.NewSecret(secret.Reveal())
	if err != nil {
		d.t.Fatal(err)
	}
	token, err := visitortoken.Sign(visitortoken.Request{
		KeyID: id, Visitor: "u-42", Lifetime: time.Hour, Generation: generation,
	}, d.now(), key)
	if err != nil {
		d.t.Fatal(err)
	}
	return token
}

func (d *registryTest) rotateSecret(id string, k *keys.Key, grace time.Duration) keys.Secret {
	d.t.Helper()
	created, err := d.RotateSignSecret(d.t.Context(), alice, id, k, grace)
	if err != nil {
		d.t.Fatal(err)
	}
	d.hide(created.Secret.Reveal())
	return created.Secret
}

func requireVisitors(v policy.Visitors) registry.UpdateRequest {
	return registry.UpdateRequest{Policy: registry.PolicyChange{Visitors: &v}}
}

// A new key that accepts visitors gets a secret.
func TestCreateWithVisitors(t *testing.T) {
	d := newRegistryTest(t)
	made, err := d.Create(t.Context(), alice, registry.CreateRequest{
		Name: "Docs", Sources: []string{sourceID}, Policy: &policy.Policy{Visitors: policy.VisitorsRequired},
	})
	if err != nil {
		t.Fatal(err)
	}
	d.hide(made.SignSecret.Reveal())
	if n := len(made.SignSecret.Reveal()); n != 43 { // 32 bytes in base64url
		t.Errorf("the secret has %d characters", n)
	}
	d.want(made.Token.Reveal(), keys.VisitorRequired)
	d.want(d.signed(made.Record.ID, made.SignSecret, 0), keys.Allowed)
	d.open() // a restart
	d.want(d.signed(made.Record.ID, made.SignSecret, 0), keys.Allowed)
	if e := d.last(); !strings.Contains(e.Detail, "visitors required, was off") || !strings.Contains(e.Detail, "sign secret ") {
		t.Errorf("audit entry %+v", e)
	}
	d.assertNoSecretStored()

	public, _, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	made, err = d.Create(t.Context(), alice, registry.CreateRequest{
		Name: "Docs", Sources: []string{sourceID}, Policy: &policy.Policy{Visitors: policy.VisitorsOptional}, Signing: registry.SigningChange{PublicKeys: &[]ed25519.PublicKey{public}},
	})
	if err != nil || !made.SignSecret.IsZero() {
		t.Errorf("a key with a public key has a secret, too: %v", err)
	}
	if made, err = d.Create(t.Context(), alice, registry.CreateRequest{Name: "Docs", Sources: []string{sourceID}}); err != nil || !made.SignSecret.IsZero() {
		t.Errorf("a key without visitors has a secret: %v", err)
	}
}

// A policy that accepts signed tokens needs something to verify them.
func TestVisitorsNeedSecret(t *testing.T) {
	d := newRegistryTest(t)
	id, _ := d.create()
	_, err := d.Update(t.Context(), alice, id, requireVisitors(policy.VisitorsOptional))
	if field := (*registry.FieldError)(nil); !errors.As(err, &field) || field.Field != "visitors" {
		t.Fatalf("without a secret: %v", err)
	}
	secret := d.rotateSecret(id, nil, 0)
	d.want(d.signed(id, secret, 0), keys.VisitorTokenInvalid) // visitors is off
	if _, err := d.Update(t.Context(), alice, id, requireVisitors(policy.VisitorsOptional)); err != nil {
		t.Fatal(err)
	}
	d.want(d.signed(id, secret, 0), keys.Allowed)
	d.assertNoSecretStored()
}

func TestRotateSignSecret(t *testing.T) {
	d := newRegistryTest(t)
	id, token := d.create()
	first := d.rotateSecret(id, nil, 0)
	if _, err := d.Update(t.Context(), alice, id, requireVisitors(policy.VisitorsRequired)); err != nil {
		t.Fatal(err)
	}
	second := d.rotateSecret(id, nil, time.Hour)
	old := d.signed(id, first, 0)
	d.want(old, keys.Allowed)
	d.want(d.signed(id, second, 0), keys.Allowed)
	d.want(token, keys.VisitorRequired)
	d.advance(time.Hour)
	if reason := d.reason(old); reason != keys.VisitorTokenExpired && reason != keys.VisitorTokenInvalid { // it may be in the cache
		t.Errorf("a token of before the grace period: %s", reason)
	}
	d.want(d.signed(id, first, 0), keys.VisitorTokenInvalid)

	third := d.rotateSecret(id, nil, 24*time.Hour)
	d.want(d.signed(id, second, 0), keys.Allowed)
	if err := d.EndSignGrace(t.Context(), alice, id, nil); err != nil {
		t.Fatal(err)
	}
	d.want(d.signed(id, second, 0), keys.VisitorTokenInvalid)
	d.want(d.signed(id, third, 0), keys.Allowed)
	if e := d.last(); e.Action != registry.ActionChanged || e.Detail != "replaced sign secrets ended immediately" {
		t.Errorf("audit entry %+v", e)
	}
	before := d.last().Seq
	if err := d.EndSignGrace(t.Context(), alice, id, nil); err != nil || d.last().Seq != before {
		t.Errorf("ended twice: %v, %+v", err, d.last())
	}
	fourth := d.rotateSecret(id, nil, 0)
	d.want(d.signed(id, third, 0), keys.VisitorTokenInvalid)
	d.want(d.signed(id, fourth, 0), keys.Allowed)

	for range registry.MaxSignSecrets {
		d.rotateSecret(id, nil, time.Hour)
	}
	rec, err := d.Get(t.Context(), id)
	if err != nil || len(rec.Signing.Secrets) != registry.MaxSignSecrets {
		t.Errorf("%d secrets, %v", len(rec.Signing.Secrets), err)
	}
	d.want(d.signed(id, fourth, 0), keys.VisitorTokenInvalid) // the oldest one
	if _, err := d.RotateSignSecret(t.Context(), alice, id, nil, registry.MaxGrace+1); err == nil {
		t.Error("a grace period over the maximum is valid")
	}
	if _, err := d.Revoke(t.Context(), alice, id); err != nil {
		t.Fatal(err)
	}
	if _, err := d.RotateSignSecret(t.Context(), alice, id, nil, 0); !errors.Is(err, registry.ErrRevoked) {
		t.Errorf("revoked: %v", err)
	}
	d.assertNoSecretStored()
}

func TestInvalidateVisitorTokens(t *testing.T) {
	d := newRegistryTest(t)
	id, _ := d.create()
	secret := d.rotateSecret(id, nil, 0)
	if _, err := d.Update(t.Context(), alice, id, requireVisitors(policy.VisitorsRequired)); err != nil {
		t.Fatal(err)
	}
	before := d.signed(id, secret, 0)
	d.want(before, keys.Allowed)
	if generation, err := d.InvalidateVisitorTokens(t.Context(), alice, id, nil); err != nil || generation != 1 {
		t.Fatal(generation, err)
	}
	d.want(before, keys.VisitorTokenExpired)
	d.want(d.signed(id, secret, 1), keys.Allowed)
	if e := d.last(); e.Detail != "generation 1, was 0: signed tokens of before are invalid" {
		t.Errorf("audit entry %+v", e)
	}
	set := func(generation uint32) error {
		_, err := d.Update(t.Context(), alice, id, registry.UpdateRequest{Signing: registry.SigningChange{Generation: &generation}})
		return err
	}
	if err := set(0); err == nil {
		t.Error("a lower generation is valid, so that invalidated tokens are valid again")
	}
	if err := set(visitortoken.MaxGeneration + 1); err == nil {
		t.Error("a generation over the maximum is valid")
	}
	if err := set(visitortoken.MaxGeneration); err != nil {
		t.Error(err)
	}
	if _, err := d.InvalidateVisitorTokens(t.Context(), alice, id, nil); err == nil {
		t.Error("the generation overflows")
	}
}

// The secrets of an adopted key are stored with its override.
func TestOverrideSigning(t *testing.T) {
	d := newRegistryTest(t)
	k := d.adopted()
	if err := d.UpdateOverride(t.Context(), alice, k, requireVisitors(policy.VisitorsRequired)); err == nil {
		t.Error("visitors are accepted without a secret")
	}
	secret := d.rotateSecret(k.ID, k, 0)
	if err := d.UpdateOverride(t.Context(), alice, k, requireVisitors(policy.VisitorsRequired)); err != nil {
		t.Fatal(err)
	}
	if d.adoptedReason() != keys.VisitorRequired {
		t.Errorf("the key's own token: %q", d.adoptedReason())
	}
	d.want(d.signed(k.ID, secret, 0), keys.Allowed)
	d.store.Remove(otherFeed)
	d.open() // a restart
	k = d.adopted()
	if k.VisitorTokens != nil {
		t.Error("the original key has the settings of the override")
	}
	d.want(d.signed(k.ID, secret, 0), keys.Allowed)
	if _, err := d.InvalidateVisitorTokens(t.Context(), alice, k.ID, k); err != nil {
		t.Fatal(err)
	}
	d.want(d.signed(k.ID, secret, 0), keys.VisitorTokenExpired)
	second := d.rotateSecret(k.ID, k, time.Hour)
	d.want(d.signed(k.ID, secret, 1), keys.Allowed)
	if err := d.EndSignGrace(t.Context(), alice, k.ID, k); err != nil {
		t.Fatal(err)
	}
	d.want(d.signed(k.ID, secret, 1), keys.VisitorTokenInvalid)
	d.want(d.signed(k.ID, second, 1), keys.Allowed)
	if err := d.UpdateOverride(t.Context(), alice, k, requireVisitors(policy.VisitorsOff)); err != nil {
		t.Fatal(err)
	}
	d.want(d.signed(k.ID, second, 1), keys.VisitorTokenInvalid)
	d.assertNoSecretStored()
}

// A secret that cannot be decrypted verifies nothing, and affects no other key. A secret of another key cannot take its place.
func TestSignSecretCannotBeDecrypted(t *testing.T) {
	d := newRegistryTest(t)
	create := func() (id, token string, secret keys.Secret) {
		made, err := d.Create(t.Context(), alice, registry.CreateRequest{
			Name: "Docs", Sources: []string{sourceID}, Policy: &policy.Policy{Visitors: policy.VisitorsRequired},
		})
		if err != nil {
			t.Fatal(err)
		}
		return made.Record.ID, made.Token.Reveal(), made.SignSecret
	}
	id, token, secret := create()
	otherID, _, otherSecret := create()
	change := func(f func(rec *registry.Record)) {
		t.Helper()
		rec, err := d.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		f(rec)
		if err := d.storage.Write(t.Context(), []*registry.Record{rec}, nil); err != nil {
			t.Fatal(err)
		}
		d.open()
	}
	other, err := d.Get(t.Context(), otherID)
	if err != nil {
		t.Fatal(err)
	}
	original, err := d.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for name, encrypted := range map[string][]byte{
		"damaged":           append(bytes.Clone(original.Signing.Secrets[0].Encrypted[:20]), 1, 2, 3),
		"of another key":    other.Signing.Secrets[0].Encrypted,
		"of a newer format": {9},
	} {
		change(func(rec *registry.Record) {
			rec.Signing = &registry.Signing{Secrets: []registry.SignSecret{{ID: original.Signing.Secrets[0].ID, Encrypted: encrypted}}}
		})
		for _, s := range []keys.Secret{secret, otherSecret} {
			if got := d.verifier.Verify(d.signed(id, s, 0), d.now()).Reason; got != keys.VisitorTokenInvalid {
				t.Errorf("%s: %q", name, got)
			}
		}
		d.want(token, keys.VisitorRequired)
		d.want(d.signed(otherID, otherSecret, 0), keys.Allowed)
	}
	change(func(rec *registry.Record) { rec.Signing = original.Signing })
	d.want(d.signed(id, secret, 0), keys.Allowed)

	away := d.secretPath + ".away"
	if err := os.Rename(d.secretPath, away); err != nil {
		t.Fatal(err)
	}
	d.open()
	d.want(d.signed(id, secret, 0), keys.VisitorTokenInvalid)
	if _, err := d.RotateSignSecret(t.Context(), alice, id, nil, 0); err == nil || !strings.Contains(err.Error(), "restore it from your backup") {
		t.Errorf("a new secret was created although the old one is missing: %v", err)
	}
	if err := os.Rename(away, d.secretPath); err != nil {
		t.Fatal(err)
	}
	d.Recheck()
	d.create() // a write reads the changes
	d.want(d.signed(id, secret, 0), keys.Allowed)
}
