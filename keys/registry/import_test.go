package registry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/policy"
)

func TestImportKeepsTokens(t *testing.T) {
	d := newRegistryTest(t)
	old := d.hide("6a1d3c8f-2e45-4b7c-9dae-123456789abc")
	d.hide(agentKey)
	created := noon.Add(-1000 * time.Hour)
	items := []registry.Import{
		{ID: "docs-site", Name: "Docs", Sources: []string{sourceID}, Digest: keys.DigestOf(old), Created: created, Prompt: "p"},
		{Name: "fresh", Sources: []string{sourceID}},
		{ID: "agent", AgentKey: agentKey, Digest: keys.DigestOf(agentKey)},
		{ID: "expired", Sources: []string{sourceID}, Expires: noon.Add(-time.Hour)},
		{ID: "off", Sources: []string{sourceID}, State: keys.Disabled},
		{ID: "over", Sources: []string{sourceID}, State: keys.Revoked},
	}
	dry, err := d.Import(t.Context(), alice, items, true)
	if err != nil {
		t.Fatal(err)
	}
	for i := range dry {
		if !dry[i].Token.IsZero() || dry[i].Existing != "" || dry[i].Record.ID != items[i].ID {
			t.Errorf("dry: %+v", dry[i])
		}
	}
	if len(d.auditTrail()) != 0 || d.store.Len() != 0 {
		t.Fatal("the dry run has written something")
	}
	got, err := d.Import(t.Context(), alice, items, false)
	if err != nil || len(got) != len(items) {
		t.Fatal(err)
	}
	for i, want := range []struct {
		token  string
		minted bool
		reason keys.Reason
	}{
		{old, false, keys.Allowed},
		{"", true, keys.Allowed},
		{agentKey, false, keys.Allowed},
		{"", true, keys.Expired},
		{"", true, keys.DisabledKey},
		{"", true, keys.RevokedKey},
	} {
		token := got[i].Token.Reveal()
		if want.minted != (token != "") {
			t.Errorf("item %d: a token was created: %t", i, token != "")
		}
		if want.minted {
			want.token = d.hide(token)
		}
		d.want(want.token, want.reason)
	}
	first := got[0].Record
	if first.ID != "docs-site" || first.Name != "Docs" || first.Hint != "" || !first.Created.Equal(created) || first.Prompt != "p" {
		t.Errorf("record %+v", first)
	}
	if got[1].Record.ID == "" || got[2].Record.Name != "agent" {
		t.Errorf("records %+v, %+v", got[1].Record, got[2].Record)
	}
	if all := d.auditTrail(); len(all) != len(items) || all[0].Action != registry.ActionImported || all[0].Key != "docs-site" ||
		all[4].Detail != "source "+sourceID+", disabled" {
		t.Errorf("entries %+v", all)
	}
	// Repeated: an item whose token exists is not changed.
	again, err := d.Import(t.Context(), alice, items[:1], false)
	if err != nil || again[0].Existing != "docs-site" || again[0].Record.Name != "Docs" || len(d.auditTrail()) != len(items) {
		t.Errorf("again: %+v, %v", again, err)
	}
	d.assertNoSecretStored()
}

func TestImportExistingPreviousToken(t *testing.T) {
	d := newRegistryTest(t)
	id, first := d.create()
	d.rotate(id, time.Hour)
	got, err := d.Import(t.Context(), alice, []registry.Import{{Sources: []string{sourceID}, Digest: keys.DigestOf(first)}}, false)
	if err != nil || got[0].Existing != id {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestImportIsAtomic(t *testing.T) {
	d := newRegistryTest(t)
	id, _ := d.create()
	digest := keys.DigestOf("some-token")
	before := len(d.auditTrail())
	token := d.hide(keys.NewToken(policy.AnyKind))
	_, err := d.Import(t.Context(), alice, []registry.Import{
		{ID: "good", Sources: []string{sourceID}, Digest: digest},
		{ID: id, Sources: []string{sourceID}},
		{ID: "good", Sources: []string{sourceID}},
		{ID: "b", Sources: []string{sourceID}, Digest: digest},
		{ID: "-c", Sources: []string{sourceID}},
		{ID: strings.Repeat("d", 129), Sources: []string{sourceID}},
		{ID: token, Sources: []string{sourceID}},
		{ID: "e"},
		{ID: "f", Sources: []string{sourceID}, State: keys.BindingUnavailable, Name: "a\nb"},
	}, false)
	var got []string
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("the error joins no others: %v", err)
	}
	for _, e := range joined.Unwrap() {
		var item *registry.ImportError
		if !errors.As(e, &item) {
			t.Fatalf("no ImportError: %v", e)
		}
		got = append(got, fmt.Sprintf("%d%v", item.Index, fields(item.Err)))
	}
	want := []string{"1[id]", "2[id]", "3[]", "4[id]", "5[id]", "6[id]", "7[sources]", "8[name state]"}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v: %v", got, want, err)
	}
	d.assertNoSecret("the error", err.Error())
	if d.store.Len() != 1 || len(d.auditTrail()) != before {
		t.Error("something was imported")
	}
}

func TestImportManyKeys(t *testing.T) {
	d := newRegistryTest(t)
	items := make([]registry.Import, 1000)
	for i := range items {
		items[i] = registry.Import{Sources: []string{sourceID}, Name: fmt.Sprint("key ", i)}
	}
	calls := 0
	tr := track(t, d.Feed())
	d.OnChange(func(context.Context) error { calls++; return nil })
	got, err := d.Import(t.Context(), alice, items, false)
	if err != nil || calls != 1 || len(tr.changes()) != 1000 {
		t.Fatalf("%d calls, %v", calls, err)
	}
	for i := range got {
		if d.reason(got[i].Token.Reveal()) != keys.Allowed || got[i].Record.Name != items[i].Name {
			t.Fatalf("item %d differs", i)
		}
	}
}

func TestExportAndBackupAreAudited(t *testing.T) {
	d := newRegistryTest(t)
	a, token := d.create()
	b, _ := d.create()
	var ids []string
	if err := d.Export(t.Context(), alice, func(rec *registry.Record) error {
		ids = append(ids, rec.ID)
		return nil
	}); err != nil || !slices.Equal(ids, []string{a, b}) {
		t.Errorf("exported %v, %v", ids, err)
	}
	if e := d.last(); e.Action != registry.ActionExported || e.Key != "" || e.Actor != "alice" {
		t.Errorf("entry %+v", e)
	}
	stop := errors.New("stop")
	if err := d.Export(t.Context(), alice, func(*registry.Record) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("an export with an error of yield: %v", err)
	}
	var copied strings.Builder
	if err := d.Backup(t.Context(), alice, &copied); err != nil || !strings.Contains(copied.String(), string(registry.ActionBackedUp)) {
		t.Errorf("backup: %v", err)
	}
	if e := d.last(); e.Action != registry.ActionBackedUp {
		t.Errorf("entry %+v", e)
	}
	if strings.Contains(copied.String(), token) {
		t.Error("the backup contains a token")
	}
}

// TestSecretsAreNotExposed executes all operations, and searches everything they return and store.
func TestSecretsAreNotExposed(t *testing.T) {
	d := newRegistryTest(t)
	d.hide(agentKey)
	id, _ := d.create()
	encryptedID, _ := createWithAgentKey(d)
	d.rotate(id, time.Hour)
	d.rotate(encryptedID, 0)
	if _, err := d.Update(t.Context(), alice, id, registry.UpdateRequest{Name: pointer("other"), Expires: pointer(noon.Add(time.Hour))}); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Revoke(t.Context(), alice, encryptedID); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Import(t.Context(), alice, []registry.Import{{ID: "i", AgentKey: agentKey, Digest: keys.DigestOf(agentKey)}}, false); err != nil {
		t.Fatal(err)
	}
	_, err := d.Import(t.Context(), alice, []registry.Import{
		{ID: "i", Sources: []string{sourceID}}, {Agent: agentKey}, {AgentKey: agentKey + " " + agentKey},
	}, false)
	if err == nil {
		t.Fatal("invalid items were imported")
	}
	d.assertNoSecret("an error", fmt.Sprintf("%v %+v", err, err))
	d.assertNoSecretStored()
	for _, e := range d.auditTrail() {
		d.assertNoSecret("the trail", fmt.Sprintf("%+v", e))
	}
	if err := d.Export(t.Context(), alice, func(rec *registry.Record) error {
		d.assertNoSecret("a record", fmt.Sprintf("%v %+v", rec, *rec))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
