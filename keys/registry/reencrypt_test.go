package registry_test

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

// secretLine returns a line of a secret file.
func secretLine(t testing.TB, fill string) string {
	t.Helper()
	return "docsgate-secret-1 " + strings.Repeat(fill, 42) + "A=\n"
}

// A secret is replaced while both are in the file: nothing becomes unusable, and afterwards the earlier one is not needed.
func TestRotateEncryption(t *testing.T) {
	d := newRegistryTest(t)
	if _, err := d.RotateEncryption(t.Context(), alice); !errors.Is(err, registry.ErrNoSecret) {
		t.Errorf("without a secret: %v", err)
	}
	id, token := createWithAgentKey(d)
	if _, err := d.RotateSignSecret(t.Context(), alice, id, nil, 0); err != nil {
		t.Fatal(err)
	}
	other := &keys.Key{ID: "agent_1", Name: "Adopted", Feed: "postgres"}
	if _, err := d.RotateSignSecret(t.Context(), alice, other.ID, other, time.Hour); err != nil {
		t.Fatal(err)
	}
	report, err := d.RotateEncryption(t.Context(), alice)
	if err != nil || report.Reencrypted != 0 || report.Remaining != nil {
		t.Errorf("without another secret: %+v, %v", report, err)
	}
	earlier, err := os.ReadFile(d.secretPath)
	if err != nil {
		t.Fatal(err)
	}
	first := report.KeyID
	newer := secretLine(t, "B")
	if err := os.WriteFile(d.secretPath, []byte(newer+string(earlier)), 0o600); err != nil {
		t.Fatal(err)
	}
	d.open()
	d.want(token, keys.Allowed)
	before, err := d.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	report, err = d.RotateEncryption(t.Context(), alice)
	if err != nil || report.Reencrypted != 2 || report.Remaining != nil || report.KeyID == first {
		t.Fatalf("%+v, %v", report, err)
	}
	d.want(token, keys.Allowed)
	if rec, err := d.Get(t.Context(), id); err != nil || !slices.Equal(rec.EncryptionKeys(), []string{report.KeyID}) || !rec.Changed.Equal(before.Changed) {
		t.Errorf("%+v, %v", rec, err)
	}
	if o := d.Override(other.ID); !slices.Equal(o.EncryptionKeys(), []string{report.KeyID}) {
		t.Errorf("the override is encrypted with %v", o.EncryptionKeys())
	}
	if e := d.last(); e.Action != registry.ActionSecretRotated || !strings.Contains(e.Detail, "2 keys") {
		t.Errorf("entry %+v", e)
	}
	if err := os.WriteFile(d.secretPath, []byte(newer), 0o600); err != nil {
		t.Fatal(err)
	}
	d.open()
	d.want(token, keys.Allowed)
	if report, err = d.RotateEncryption(t.Context(), alice); err != nil || report.Reencrypted != 0 || report.Remaining != nil {
		t.Errorf("again: %+v, %v", report, err)
	}
	d.assertNoSecretStored()
}

// What cannot be decrypted is reported, and is not changed.
func TestRotateEncryptionWithoutEarlierSecret(t *testing.T) {
	d := newRegistryTest(t)
	id, _ := createWithAgentKey(d)
	rec, err := d.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.secretPath, []byte(secretLine(t, "B")), 0o600); err != nil {
		t.Fatal(err)
	}
	report, err := d.RotateEncryption(t.Context(), alice)
	if err != nil || report.Reencrypted != 0 || report.Remaining[rec.EncryptionKeys()[0]] != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	if after, err := d.Get(t.Context(), id); err != nil || after.Revision != rec.Revision {
		t.Errorf("the record was changed: %v", err)
	}
}

// Secrets of an option have the format of a file.
func TestEncrypterOfOption(t *testing.T) {
	if _, err := registry.NewEncrypterOf(keys.NewSecret(secretLine(t, "B") + "\n" + secretLine(t, "C"))); err != nil {
		t.Error(err)
	}
	for _, text := range []string{"", "docsgate-secret-1", "docsgate-secret-1 short", "secret-value", secretLine(t, "B") + "more"} {
		if _, err := registry.NewEncrypterOf(keys.NewSecret(text)); err == nil || strings.Contains(err.Error(), "value") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
