package registry_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

func TestCreateTakesEffectImmediately(t *testing.T) {
	d := newRegistryTest(t)
	made, err := d.Create(t.Context(), alice, registry.CreateRequest{
		Name: "  docs \u05d0\u05d1 \U0001F600 ", Sources: []string{sourceID}, Expires: noon.Add(time.Hour).In(time.FixedZone("x", 3600)),
		Prompt: "default", Chunks: "2", Retriever: "classic",
	})
	if err != nil {
		t.Fatal(err)
	}
	token := d.hide(made.Token.Reveal())
	d.want(token, keys.Allowed)
	got := made.Record
	if !keys.HasValidChecksum(token) || got.Digest != keys.DigestOf(token) || got.Hint != token[len(token)-4:] {
		t.Error("the token is not valid, or does not match the record")
	}
	if !strings.HasPrefix(got.ID, "key_") || len(got.ID) != 30 || strings.ToLower(got.ID) != got.ID {
		t.Errorf("id %q", got.ID)
	}
	if got.Name != "docs \u05d0\u05d1 \U0001F600" || got.State != keys.Active || !got.Created.Equal(noon) || got.Prompt != "default" {
		t.Errorf("record %+v", got)
	}
	if got.Expires.Location() != time.UTC || !got.Rotated.IsZero() {
		t.Errorf("times %v %v", got.Expires, got.Rotated)
	}
	entry := d.last()
	if entry.Actor != "alice" || entry.RemoteAddr != "192.0.2.7" || entry.Action != registry.ActionCreated || entry.Key != got.ID ||
		entry.Name != got.Name || !entry.At.Equal(noon) || entry.Detail != "source "+sourceID+", expires 2026-03-01T13:00:00Z" {
		t.Errorf("entry %+v", entry)
	}
	d.advance(time.Hour)
	d.want(token, keys.Expired)
	d.assertNoSecretStored()
}

func TestTokenAsIDIsNotInError(t *testing.T) {
	d := newRegistryTest(t)
	_, token := d.create()
	for what, call := range map[string]func() error{
		"Get":    func() error { _, err := d.Get(t.Context(), token); return err },
		"Revoke": func() error { _, err := d.Revoke(t.Context(), alice, token); return err },
		"Rotate": func() error { _, err := d.Rotate(t.Context(), alice, token, 0); return err },
		"Change": func() error { _, err := d.Update(t.Context(), alice, token, registry.UpdateRequest{}); return err },
	} {
		if err := call(); !errors.Is(err, registry.ErrNotFound) || strings.Contains(err.Error(), token) {
			t.Errorf("%s: %v", what, err)
		}
	}
	d.want(token, keys.Allowed)
}

func TestIDsSortByTime(t *testing.T) {
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = registry.NewID()
	}
	if !slices.IsSorted(ids) || len(slices.Compact(slices.Clone(ids))) != len(ids) {
		t.Error("the ids are not in order, or repeat")
	}
}

func TestDisableEnableRevoke(t *testing.T) {
	d := newRegistryTest(t)
	id, token := d.create()
	steps := []struct {
		name   string
		state  keys.State
		want   keys.Reason
		action registry.Action
	}{
		{"disabled", keys.Disabled, keys.DisabledKey, registry.ActionDisabled},
		{"enabled", keys.Active, keys.Allowed, registry.ActionEnabled},
	}
	for _, s := range steps {
		before := len(d.auditTrail())
		for range 2 { // the second call changes and writes nothing
			rec, err := d.Update(t.Context(), alice, id, registry.UpdateRequest{State: &s.state})
			if err != nil || rec.State != s.state {
				t.Fatalf("%s: %v", s.name, err)
			}
		}
		d.want(token, s.want)
		if all := d.auditTrail(); len(all) != before+1 || all[before].Action != s.action {
			t.Errorf("%s: entries %+v", s.name, all[before:])
		}
	}
	for range 2 {
		if rec, err := d.Revoke(t.Context(), alice, id); err != nil || rec.State != keys.Revoked {
			t.Fatal(err)
		}
	}
	d.want(token, keys.RevokedKey)
	if all := d.auditTrail(); len(all) != 4 || all[3].Action != registry.ActionRevoked {
		t.Errorf("entries %+v", all)
	}
	if _, err := d.Update(t.Context(), alice, id, registry.UpdateRequest{State: pointer(keys.Active)}); !errors.Is(err, registry.ErrRevoked) {
		t.Errorf("enabling a revoked key: %v", err)
	}
	if _, err := d.Rotate(t.Context(), alice, id, 0); !errors.Is(err, registry.ErrRevoked) {
		t.Errorf("rotating a revoked key: %v", err)
	}
	if _, err := d.Revoke(t.Context(), alice, "key_x"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("revoking an unknown key: %v", err)
	}
}

func TestUpdateWritesOneAuditEntry(t *testing.T) {
	d := newRegistryTest(t)
	id, token := d.create()
	rec, err := d.Update(t.Context(), alice, id, registry.UpdateRequest{
		Name: pointer("new name"), State: pointer(keys.Disabled), NotBefore: pointer(noon.Add(time.Hour)),
		Expires: pointer(noon.Add(2 * time.Hour)),
	})
	if err != nil || rec.Name != "new name" || rec.State != keys.Disabled || !rec.Expires.Equal(noon.Add(2*time.Hour)) {
		t.Fatalf("%+v, %v", rec, err)
	}
	want := `name, was "docs site"; not before 2026-03-01T13:00:00Z, was never; expires 2026-03-01T14:00:00Z, was never; disabled`
	if e := d.last(); e.Action != registry.ActionChanged || e.Detail != want || len(d.auditTrail()) != 2 {
		t.Errorf("entry %+v", e)
	}
	if _, err := d.Update(t.Context(), alice, id, registry.UpdateRequest{
		State: pointer(keys.Active), NotBefore: &time.Time{}, Expires: pointer(noon),
	}); err != nil {
		t.Fatal(err)
	}
	d.want(token, keys.Expired) // an update may set an expiry in the past
}

func TestRotateGracePeriods(t *testing.T) {
	d := newRegistryTest(t)
	id, first := d.create()
	second := d.rotate(id, time.Hour)
	d.advance(30 * time.Minute)
	third := d.rotate(id, 2*time.Hour)
	for _, token := range []string{first, second, third} {
		d.want(token, keys.Allowed)
	}
	if got := d.verifier.Verify(second, d.now()); !got.UsedPreviousToken || got.Key.ID != id {
		t.Error("the second token is not reported as a previous token")
	}
	d.advance(30 * time.Minute)
	d.want(first, keys.TokenRotated)
	d.want(second, keys.Allowed)
	d.advance(90 * time.Minute)
	d.want(second, keys.TokenRotated)
	d.want(third, keys.Allowed)
	rec, err := d.Update(t.Context(), alice, id, registry.UpdateRequest{Name: pointer("x")})
	if err != nil || len(rec.PreviousTokens) != 0 {
		t.Errorf("expired tokens remain in the record: %d, %v", len(rec.PreviousTokens), err)
	}
	d.want(first, keys.UnknownToken)
	if rec.ID != id || rec.Hint != third[len(third)-4:] || !rec.Rotated.Equal(noon.Add(30*time.Minute)) {
		t.Errorf("record %+v", rec)
	}
	d.assertNoSecretStored()
}

func TestRotateWithoutGrace(t *testing.T) {
	d := newRegistryTest(t)
	id, first := d.create()
	second := d.rotate(id, registry.MaxGrace)
	third := d.rotate(id, 0)
	d.want(first, keys.UnknownToken)
	d.want(second, keys.UnknownToken)
	d.want(third, keys.Allowed)
	if e := d.last(); e.Action != registry.ActionRotated || e.Detail != "previous tokens ended immediately" {
		t.Errorf("entry %+v", e)
	}
}

func TestEndGrace(t *testing.T) {
	d := newRegistryTest(t)
	id, first := d.create()
	second := d.rotate(id, time.Hour)
	third := d.rotate(id, registry.MaxGrace)
	rec, err := d.EndGrace(t.Context(), alice, id)
	if err != nil || len(rec.PreviousTokens) != 0 {
		t.Fatalf("%+v, %v", rec, err)
	}
	d.want(first, keys.UnknownToken)
	d.want(second, keys.UnknownToken)
	d.want(third, keys.Allowed)
	if e := d.last(); e.Action != registry.ActionChanged || e.Detail != "previous tokens ended immediately" {
		t.Errorf("entry %+v", e)
	}
	entries := len(d.auditTrail())
	if _, err := d.EndGrace(t.Context(), alice, id); err != nil || len(d.auditTrail()) != entries {
		t.Errorf("without previous tokens: %v, %d new entries", err, len(d.auditTrail())-entries)
	}
	d.rotate(id, time.Hour)
	d.advance(time.Hour)
	entries = len(d.auditTrail())
	if _, err := d.EndGrace(t.Context(), alice, id); err != nil || len(d.auditTrail()) != entries {
		t.Errorf("after the grace period: %v, %d new entries", err, len(d.auditTrail())-entries)
	}
}

func TestMaxPreviousTokens(t *testing.T) {
	d := newRegistryTest(t)
	id, token := d.create()
	all := []string{token}
	for range 7 {
		all = append(all, d.rotate(id, time.Hour))
	}
	for i, token := range all {
		want := keys.Allowed
		if i < 2 {
			want = keys.UnknownToken
		}
		d.want(token, want)
	}
	// The audit trail mentions tokens that ended early.
	for i, e := range d.auditTrail()[1:] {
		if early := strings.Contains(e.Detail, "ended early"); early != (i >= 5) {
			t.Errorf("rotation %d: %s", i+1, e.Detail)
		}
	}
	d.advance(2 * time.Hour)
	d.rotate(id, time.Hour)
	if e := d.last(); strings.Contains(e.Detail, "ended early") {
		t.Errorf("after all previous tokens had expired: %s", e.Detail)
	}
}

func TestRotateDisabledAndExpiredKeys(t *testing.T) {
	d := newRegistryTest(t)
	id, old := d.create(func(draft *registry.CreateRequest) { draft.Expires = noon.Add(time.Hour) })
	if _, err := d.Update(t.Context(), alice, id, registry.UpdateRequest{State: pointer(keys.Disabled)}); err != nil {
		t.Fatal(err)
	}
	token := d.rotate(id, time.Hour)
	d.want(token, keys.DisabledKey)
	d.want(old, keys.DisabledKey)
	d.advance(time.Hour)
	_, err := d.Rotate(t.Context(), alice, id, 0)
	if got := fields(err); !slices.Equal(got, []string{"expires"}) {
		t.Errorf("rotating an expired key: %v", err)
	}
	for _, grace := range []time.Duration{-1, registry.MaxGrace + 1} {
		_, err := d.Rotate(t.Context(), alice, id, grace)
		if got := fields(err); !slices.Equal(got, []string{"grace"}) {
			t.Errorf("a grace of %v: %v", grace, err)
		}
	}
}

func TestFailingHookReturnsResult(t *testing.T) {
	d := newRegistryTest(t)
	broken := errors.New("the store is gone")
	stop := d.OnChange(func(context.Context) error { return broken })
	made, err := d.Create(t.Context(), alice, registry.CreateRequest{Name: "a", Sources: []string{sourceID}})
	if !errors.Is(err, registry.ErrNotApplied) || !errors.Is(err, broken) || made == nil || made.Token.IsZero() {
		t.Fatalf("made %v, %v", made, err)
	}
	again, err := d.Rotate(t.Context(), alice, made.Record.ID, 0)
	if !errors.Is(err, registry.ErrNotApplied) || again == nil || again.Token.IsZero() {
		t.Fatalf("rotated %v, %v", again, err)
	}
	rec, err := d.Revoke(t.Context(), alice, made.Record.ID)
	if !errors.Is(err, registry.ErrNotApplied) || rec == nil || rec.State != keys.Revoked {
		t.Fatalf("revoked %v, %v", rec, err)
	}
	items, err := d.Import(t.Context(), alice, []registry.Import{{Name: "b", Sources: []string{sourceID}}}, false)
	if !errors.Is(err, registry.ErrNotApplied) || len(items) != 1 || items[0].Token.IsZero() {
		t.Fatalf("imported %v, %v", items, err)
	}
	stop()
	if _, err := d.Create(t.Context(), alice, registry.CreateRequest{Name: "a", Sources: []string{sourceID}}); err != nil {
		t.Errorf("a stopped hook was called: %v", err)
	}
}

// A repeated change, for example after ErrNotApplied, is not stored again, but reports whether the change is applied.
func TestRepeatedChangeIsApplied(t *testing.T) {
	cases := map[string]func(d *registryTest, id string) error{
		"revoke": func(d *registryTest, id string) error {
			_, err := d.Revoke(d.t.Context(), alice, id)
			return err
		},
		"disable": func(d *registryTest, id string) error {
			disabled := keys.Disabled
			_, err := d.Update(d.t.Context(), alice, id, registry.UpdateRequest{State: &disabled})
			return err
		},
		"import": func(d *registryTest, _ string) error {
			_, err := d.Import(d.t.Context(), alice, []registry.Import{
				{Name: "b", Sources: []string{sourceID}, Digest: keys.DigestOf("an old token")},
			}, false)
			return err
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			d := newRegistryTest(t)
			id, _ := d.create()
			stop := d.OnChange(func(context.Context) error { return errors.New("the store is gone") })
			for i := range 2 {
				if err := change(d, id); !errors.Is(err, registry.ErrNotApplied) {
					t.Errorf("call %d: %v", i+1, err)
				}
			}
			entries := len(d.auditTrail())
			stop()
			if err := change(d, id); err != nil {
				t.Errorf("after the hook was removed: %v", err)
			}
			if n := len(d.auditTrail()); n != entries {
				t.Errorf("the repeated change wrote %d entries", n-entries)
			}
		})
	}
}

func TestHookContextIsNotCanceled(t *testing.T) {
	d := newRegistryTest(t)
	ctx, cancel := context.WithCancel(t.Context())
	var hookErr error
	d.OnChange(func(ctx context.Context) error {
		cancel()
		hookErr = ctx.Err()
		return nil
	})
	if _, err := d.Create(ctx, alice, registry.CreateRequest{Name: "a", Sources: []string{sourceID}}); err != nil || hookErr != nil {
		t.Errorf("%v, %v", err, hookErr)
	}
}

func TestFailedWriteChangesNothing(t *testing.T) {
	d := newRegistryTest(t)
	id, token := d.create()
	full := errors.New("the disk is full")
	d.storage.Fail(full)
	if made, err := d.Create(t.Context(), alice, registry.CreateRequest{Name: "a", Sources: []string{sourceID}}); !errors.Is(err, full) || made != nil {
		t.Errorf("create: %v, %v", made, err)
	}
	if made, err := d.Rotate(t.Context(), alice, id, 0); !errors.Is(err, full) || made != nil {
		t.Errorf("rotate: %v, %v", made, err)
	}
	if rec, err := d.Revoke(t.Context(), alice, id); !errors.Is(err, full) || rec != nil {
		t.Errorf("revoke: %v, %v", rec, err)
	}
	if err := d.Export(t.Context(), alice, func(*registry.Record) error { return nil }); !errors.Is(err, full) {
		t.Errorf("an export without an audit entry: %v", err)
	}
	d.want(token, keys.Allowed)
}

func TestAuditEntriesAreSanitized(t *testing.T) {
	d := newRegistryTest(t)
	by := registry.Actor{Name: "mallory\nadmin\x1b[31m\xff", RemoteAddr: strings.Repeat("a", 1000)}
	if _, err := d.Create(t.Context(), by, registry.CreateRequest{Name: "a", Sources: []string{sourceID}}); err != nil {
		t.Fatal(err)
	}
	if e := d.last(); e.Actor != "mallory admin [31m\uFFFD" || utf8.RuneCountInString(e.RemoteAddr) != 200 {
		t.Errorf("entry %+v", e)
	}
}
