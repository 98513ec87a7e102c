package keyservice_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/keyindex"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/registry/memstorage"
	"github.com/docsgate/docsgate/keys/usage"
)

var (
	noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	by   = registry.Actor{Name: "alice", RemoteAddr: "192.0.2.7"}
)

const agentKey = "5f0c2b7e-1d34-4a6b-8c9d-0123456789ab"

// serviceTest is a service with a registry in memory and the keys of a file feed.
type serviceTest struct {
	*keyservice.Service
	t    *testing.T
	time time.Time
	env  string // what {env.AGENT} stands for
}

func newServiceTest(t *testing.T) *serviceTest {
	t.Helper()
	d := &serviceTest{t: t, time: noon, env: agentKey}
	now := func() time.Time { return d.time }
	storage := memstorage.New()
	r, err := registry.New(registry.Options{
		Storage: storage, Encrypter: registry.NewEncrypter(filepath.Join(t.TempDir(), "secret")), Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.SetRules(registry.Rules{Resolve: func(string) (string, error) { return d.env, nil }})
	store, list := keys.NewStore(), keyindex.New()
	store.Listen(list)
	feed := r.Feed()
	d.Service = &keyservice.Service{Registry: r, Index: list, Store: store, Usage: usage.NewMeter(), Feed: feed.Name(), Now: now}
	r.OnChange(func(ctx context.Context) error {
		set, err := feed.Load(ctx)
		if err != nil {
			return err
		}
		_, err = store.Replace(feed.Name(), set)
		return err
	})
	if _, err := store.Replace("file:keys.yaml", []keys.Key{
		{ID: "docs", Name: "Docs", Digest: keys.DigestOf("a"), Binding: keys.Binding{Sources: []string{"s1", "s2"}}},
		{ID: "bot", Name: "Bot", Digest: keys.DigestOf("b"), Binding: keys.Binding{Agent: keys.NewSecret(agentKey)}, State: keys.Disabled},
	}); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *serviceTest) create(draft registry.CreateRequest) *registry.CreateResult {
	d.t.Helper()
	made, err := d.Registry.Create(d.t.Context(), by, draft)
	if err != nil {
		d.t.Fatal(err)
	}
	return made
}

// all lists all keys by name.
func (d *serviceTest) all() map[string]keyservice.Key {
	d.t.Helper()
	page, err := d.List(keyindex.Query{})
	if err != nil || page.Total != len(page.Keys) {
		d.t.Fatalf("%d of %d, %v", len(page.Keys), page.Total, err)
	}
	byName := map[string]keyservice.Key{}
	for _, k := range page.Keys {
		byName[k.Name] = k
	}
	return byName
}

func TestListAndShowAgree(t *testing.T) {
	d := newServiceTest(t)
	made := d.create(registry.CreateRequest{Name: "site", Sources: []string{"s1"}, Prompt: "p", Chunks: "2", Retriever: "classic", Expires: noon.Add(48 * time.Hour)})
	d.create(registry.CreateRequest{Name: "env", Agent: "{env.AGENT}"})
	d.create(registry.CreateRequest{Name: "encrypted", AgentKey: agentKey})
	if _, err := d.Registry.Rotate(t.Context(), by, made.Record.ID, time.Hour); err != nil {
		t.Fatal(err)
	}
	d.Usage.Count(made.Record.ID, true, noon)
	listed := d.all()
	if len(listed) != 5 {
		t.Fatalf("%d keys", len(listed))
	}
	for name, k := range listed {
		shown, err := d.Show(t.Context(), k.ID)
		if err != nil || fmt.Sprint(shown) != fmt.Sprint(k) {
			t.Errorf("%s: listed %+v\nshown %+v, %v", name, k, shown, err)
		}
		if !k.Issued {
			continue
		}
		rec, err := d.Registry.Get(t.Context(), k.ID)
		if err != nil || fmt.Sprint(d.FromRecord(rec)) != fmt.Sprint(k) {
			t.Errorf("%s: listed %+v\nof the record %+v, %v", name, k, d.FromRecord(rec), err)
		}
	}
	rec, err := d.Registry.Get(t.Context(), made.Record.ID)
	if err != nil {
		t.Fatal(err)
	}
	k := listed["site"]
	if k.Masked != "dgk_..."+rec.Hint || k.State != "active" || k.Binding != "source" || !slices.Equal(k.Sources, []string{"s1"}) ||
		k.Feed != "store:memory" || !k.PreviousTokenExpires.Equal(noon.Add(time.Hour)) || !k.Rotated.Equal(noon) || k.Prompt != "p" ||
		!k.Use.OldLastUsed.Equal(noon) || k.Use.Requests[usage.Hours-1] != 1 {
		t.Errorf("site: %+v", k)
	}
	if k := listed["env"]; k.Binding != "agent" || k.Agent != "{env.AGENT}" || k.Sources != nil {
		t.Errorf("env: %+v", k)
	}
	if k := listed["encrypted"]; k.Binding != "agent" || k.Agent != "encrypted" {
		t.Errorf("encrypted: %+v", k)
	}
	if k := listed["Docs"]; k.Issued || k.Masked != "" || k.Binding != "source" || k.Feed != "file:keys.yaml" || len(k.Sources) != 2 {
		t.Errorf("Docs: %+v", k)
	}
	if k := listed["Bot"]; k.Issued || k.Agent != "" || k.Binding != "agent" || k.State != "disabled" {
		t.Errorf("Bot: %+v", k)
	}
	if text := fmt.Sprintf("%+v", listed); strings.Contains(text, agentKey) || strings.Contains(text, made.Token.Reveal()) {
		t.Error("a view contains a secret")
	}
}

func TestStateOf(t *testing.T) {
	d := newServiceTest(t)
	cases := []struct {
		name  string
		draft registry.CreateRequest
		then  func(id string) error
		want  string
	}{
		{"active", registry.CreateRequest{}, nil, "active"},
		{"later", registry.CreateRequest{NotBefore: noon.Add(24 * time.Hour)}, nil, "not_yet_valid"},
		{"over", registry.CreateRequest{Expires: noon.Add(time.Minute)}, nil, "expired"},
		{"off", registry.CreateRequest{}, func(id string) error {
			state := keys.Disabled
			_, err := d.Registry.Update(t.Context(), by, id, registry.UpdateRequest{State: &state})
			return err
		}, "disabled"},
		{"revoked", registry.CreateRequest{}, func(id string) error { _, err := d.Registry.Revoke(t.Context(), by, id); return err }, "revoked"},
	}
	for _, c := range cases {
		c.draft.Name, c.draft.Sources = c.name, []string{"s1"}
		made := d.create(c.draft)
		if c.then != nil {
			if err := c.then(made.Record.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	d.time = noon.Add(time.Hour)
	listed := d.all()
	for _, c := range cases {
		if got := listed[c.name]; got.State != c.want || got.UnusableReason != "" {
			t.Errorf("%s: %s, problem %q", c.name, got.State, got.UnusableReason)
		}
	}
}

func TestUnusableReason(t *testing.T) {
	d := newServiceTest(t)
	made := d.create(registry.CreateRequest{Name: "env", Agent: "{env.AGENT}"})
	d.env = ""
	k, err := d.Show(t.Context(), made.Record.ID)
	if err != nil || k.State != "unusable" || !strings.Contains(k.UnusableReason, "{env.AGENT} has no value") || k.Binding != "agent" {
		t.Errorf("%+v, %v", k, err)
	}
}

func TestExpiredPreviousTokensOmitted(t *testing.T) {
	d := newServiceTest(t)
	made := d.create(registry.CreateRequest{Name: "a", Sources: []string{"s1"}})
	if _, err := d.Registry.Rotate(t.Context(), by, made.Record.ID, time.Hour); err != nil {
		t.Fatal(err)
	}
	d.time = noon.Add(time.Hour)
	if k, err := d.Show(t.Context(), made.Record.ID); err != nil || !k.PreviousTokenExpires.IsZero() {
		t.Errorf("%v, %v", k.PreviousTokenExpires, err)
	}
}

func TestShowUnknownKey(t *testing.T) {
	d := newServiceTest(t)
	if _, err := d.Show(t.Context(), "nobody"); !errors.Is(err, registry.ErrNotFound) {
		t.Error(err)
	}
	if _, err := d.List(keyindex.Query{After: "no cursor"}); err == nil {
		t.Error("an invalid cursor is accepted")
	}
}
