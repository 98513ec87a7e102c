package replica_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/pgstore"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/replica"
)

// database is a feedtest.Database: another gate adds and removes keys.
type database struct {
	t     testing.TB
	name  string
	other *pgstore.Store
}

func newDatabase(t *testing.T) *database {
	t.Helper()
	name := pgtest.Database(t)
	other, err := pgstore.Open(t.Context(), pgstore.Options{URI: keys.NewSecret(pgtest.URI("postgres", name))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	return &database{t, name, other}
}

func (d *database) Host() string       { return pgtest.Host() }
func (d *database) Token(n int) string { return fmt.Sprint("token-of-key-", n) }
func (d *database) KeyID(n int) string { return fmt.Sprint("key_", n) }

func (d *database) Add(n int) {
	d.t.Helper()
	now := time.Now()
	r := &registry.Record{
		ID: d.KeyID(n), Name: "name", Sources: []string{"default"}, Digest: keys.DigestOf(d.Token(n)), Created: now, Changed: now,
	}
	if err := d.other.Write(d.t.Context(), []*registry.Record{r}, nil); err != nil {
		d.t.Fatal(err)
	}
}

// Remove revokes a key: none is ever removed.
func (d *database) Remove(n int) {
	d.t.Helper()
	r, err := d.other.Get(d.t.Context(), d.KeyID(n))
	if err == nil {
		r.State = keys.Revoked
		err = d.other.Write(d.t.Context(), []*registry.Record{r}, nil)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *database) Feed(via *feedtest.Proxy, o feedtest.Options) keys.RemoteFeed {
	d.t.Helper()
	uri := strings.Replace(pgtest.URI("postgres", d.name), pgtest.Host(), via.Addr(), 1)
	if o.PollInterval == 0 {
		o.PollInterval = 50 * time.Millisecond
	}
	remote, err := pgstore.New(pgstore.Options{URI: keys.NewSecret(uri), Timeout: o.Timeout, PollInterval: o.PollInterval})
	if err != nil {
		d.t.Fatal(err)
	}
	storage, err := replica.Open(replica.Options{Remote: remote, Path: o.SnapshotPath, MaxStale: o.MaxStale})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = storage.Close() })
	r, err := registry.New(registry.Options{Storage: storage})
	if err != nil {
		d.t.Fatal(err)
	}
	return r.Feed().(keys.RemoteFeed)
}

// During an outage known keys are valid, and an unknown token is neither valid nor rejected as unknown.
func TestOutage(t *testing.T) {
	for name, lose := range map[string]func(*feedtest.Proxy){"refused": (*feedtest.Proxy).Refuse, "blackholed": (*feedtest.Proxy).Blackhole} {
		t.Run(name, func(t *testing.T) {
			d := newDatabase(t)
			d.Add(1)
			p := feedtest.NewProxy(t, d.Host())
			g := feedtest.TestOutage(t, d, p, d.Feed(p, feedtest.Options{Timeout: time.Second}), func(_ *feedtest.Harness, change func()) {
				lose(p)
				change()
			})
			g.Want("a known key", d.Token(1), keys.Allowed)
		})
	}
}

func TestColdStartWithoutCopy(t *testing.T) { feedtest.TestColdStartNoSnapshot(t, newDatabase(t)) }

func TestMaxStale(t *testing.T) { feedtest.TestMaxStale(t, newDatabase(t)) }

func TestLoadCanceled(t *testing.T) {
	d := newDatabase(t)
	p := feedtest.NewProxy(t, d.Host())
	feedtest.TestLoadCanceled(t, p, d.Feed(p, feedtest.Options{Timeout: time.Hour}))
}

// A gate that is started while the database is unavailable has the keys from before, and everything that it has learned.
func TestColdStart(t *testing.T) {
	s := newSetup(t, pgtest.Database(t))
	other := newSetup(t, s.database).start(t)
	g := s.start(t)
	kept, keptToken := other.create(t, "kept")
	gone, goneToken := other.create(t, "gone")
	later, laterToken := other.create(t, "revoked during the outage")
	for _, token := range []string{keptToken, goneToken, laterToken} {
		g.WaitFor(token, keys.Allowed)
	}
	other.revoke(t, gone)
	g.WaitFor(goneToken, keys.RevokedKey)
	g.halt()

	s.proxy.Refuse()
	g = s.start(t)
	g.Want("a known key", keptToken, keys.Allowed)
	g.Want("a revoked key", goneToken, keys.RevokedKey)
	g.Want("an unknown key", feedtest.UnknownToken, keys.FeedUnavailable)
	if confirmed := g.storage.LastConfirmed(); confirmed.IsZero() || time.Since(confirmed) > time.Hour {
		t.Errorf("the copy was confirmed at %v", confirmed)
	}
	other.revoke(t, later)
	_, newToken := other.create(t, "new")
	g.Want("a new key", newToken, keys.FeedUnavailable)
	if _, err := g.Revoke(t.Context(), alice, kept); !errors.Is(err, registry.ErrUnavailable) || !strings.Contains(err.Error(), "refuses connections") {
		t.Errorf("a change during the outage: %v", err)
	}
	if r, err := g.Get(t.Context(), kept); err != nil || r.Name != "kept" {
		t.Errorf("reading a key during the outage: %v", err)
	}
	if _, err := g.Get(t.Context(), "key_new"); !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("reading a key that may exist: %v", err)
	}
	if _, err := g.Audit(t.Context(), "", 0, 10); !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("reading the audit trail: %v", err)
	}

	s.proxy.Accept()
	g.WaitFor(newToken, keys.Allowed, keys.UnknownToken)
	g.WaitFor(laterToken, keys.RevokedKey)
	g.WaitFor(feedtest.UnknownToken, keys.UnknownToken)
	g.revoke(t, kept)
	other.WaitFor(keptToken, keys.RevokedKey)
}

// A copy that is older than max_stale is not used, nor are the keys of other feeds, which may be disabled.
func TestColdStartTooStale(t *testing.T) {
	s := newSetup(t, pgtest.Database(t))
	agents, agentToken := agent()
	g := s.start(t, agents)
	_, token := g.create(t, "a")
	g.Want("an agent", agentToken, keys.Allowed)
	g.halt()
	s.proxy.Refuse()
	s.maxStale = time.Millisecond
	g = s.start(t, agents)
	g.Want("a key", token, keys.FeedUnavailable)
	g.Want("an agent", agentToken, keys.UnusableKey)
	s.proxy.Accept()
	g.WaitFor(agentToken, keys.Allowed)
}

// staticFeed is another feed with one key.
type staticFeed struct{ key keys.Key }

func (*staticFeed) Name() string                               { return "static" }
func (f *staticFeed) Load(context.Context) ([]keys.Key, error) { return []keys.Key{f.key}, nil }
func (*staticFeed) Watch(ctx context.Context, _ func()) error  { <-ctx.Done(); return nil }

// As long as a gate has never known which keys of other feeds are disabled, it rejects all of them.
func TestUnknownOverrides(t *testing.T) {
	s := newSetup(t, pgtest.Database(t))
	agents, agentToken := agent()
	s.proxy.Refuse()
	g := s.start(t, agents)
	g.Want("an agent", agentToken, keys.UnusableKey)
	s.proxy.Accept()
	g.WaitFor(agentToken, keys.Allowed)
	s.proxy.Refuse()
	g.WaitFor(feedtest.UnknownToken, keys.FeedUnavailable)
	g.Want("an agent", agentToken, keys.Allowed)
	if err := g.UpdateOverride(t.Context(), alice, &agents.key, registry.UpdateRequest{State: new(keys.Disabled)}); !errors.Is(err, registry.ErrUnavailable) {
		t.Errorf("a change during the outage: %v", err)
	}
}
