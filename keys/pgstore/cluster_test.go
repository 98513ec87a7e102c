package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/pgstore"
	"github.com/docsgate/docsgate/keys/recordcodec"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/registry/storagetest"
	"github.com/docsgate/docsgate/keys/usage"
)

var alice = registry.Actor{Name: "alice", RemoteAddr: "192.0.2.1"}

// deadline is how long a change may take on a busy machine before a test fails.
const deadline = 30 * time.Second

// gate is what a gate consists of, without HTTP: a registry, and the keys in memory that follow it.
type gate struct {
	*registry.Registry
	*keys.Verifier
}

// startGate starts a gate that follows a database until the end of the test.
func startGate(t testing.TB, o pgstore.Options) *gate {
	t.Helper()
	return startGateWithSecret(t, o, filepath.Join(t.TempDir(), "secret"))
}

// startGateWithSecret is startGate with the path of the secret.
func startGateWithSecret(t testing.TB, o pgstore.Options, secret string) *gate {
	t.Helper()
	storage := open(t, o)
	encrypter := registry.NewEncrypter(secret)
	encrypter.Share(storage)
	r, err := registry.New(registry.Options{Storage: storage, Encrypter: encrypter})
	if err != nil {
		t.Fatal(err)
	}
	store := keys.NewStore()
	syncer := storagetest.Follow(t, r, store)
	verifier, err := keys.NewVerifier(store, keys.CacheConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); syncer.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		<-ended
		verifier.Close()
		_ = r.Close()
	})
	return &gate{r, verifier}
}

func (g *gate) create(t testing.TB, name string) (id, token string) {
	t.Helper()
	made, err := g.Create(t.Context(), alice, registry.CreateRequest{Name: name, Sources: []string{"7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10"}})
	if err != nil {
		t.Fatal(err)
	}
	return made.Record.ID, made.Token.Reveal()
}

// wait waits until a token has a reason at a gate, and returns for how long.
func (g *gate) wait(t testing.TB, token string, want keys.Reason) time.Duration {
	t.Helper()
	for start := time.Now(); ; time.Sleep(200 * time.Microsecond) {
		got := g.Verify(token, time.Now()).Reason
		if got == want {
			return time.Since(start)
		}
		if time.Since(start) > deadline {
			t.Fatalf("a token is %s after %s, want %s", got, deadline, want)
		}
	}
}

// A key that is created or revoked at one gate is valid or rejected at all.
func TestGatesFollowEachOther(t *testing.T) {
	o := options(pgtest.Database(t))
	gates := []*gate{startGate(t, o), startGate(t, o), startGate(t, o)}
	const rounds = 60
	took := make([]time.Duration, 0, rounds)
	for round := range rounds {
		at := gates[round%len(gates)]
		id, token := at.create(t, fmt.Sprint("key ", round))
		for _, g := range gates {
			g.wait(t, token, keys.Allowed)
		}
		if _, err := at.Revoke(t.Context(), alice, id); err != nil {
			t.Fatal(err)
		}
		if got := at.Verify(token, time.Now()).Reason; got != keys.RevokedKey {
			t.Fatalf("at the gate that has acknowledged the revocation the token is %s", got)
		}
		last := time.Duration(0)
		for _, g := range gates {
			last = max(last, g.wait(t, token, keys.RevokedKey))
		}
		took = append(took, last)
	}
	slices.Sort(took)
	t.Logf("a revocation reached all gates after %s at the median and %s at most", took[rounds/2], took[rounds-1])
}

// A key that is deleted at one gate is dropped from the memory of all.
func TestDeletedKeyAtOtherGate(t *testing.T) {
	o := options(pgtest.Database(t))
	one, two := startGate(t, o), startGate(t, o)
	id, token := one.create(t, "a")
	two.wait(t, token, keys.Allowed)
	if _, err := one.Revoke(t.Context(), alice, id); err != nil {
		t.Fatal(err)
	}
	two.wait(t, token, keys.RevokedKey)
	if err := one.Delete(t.Context(), alice, id); err != nil {
		t.Fatal(err)
	}
	if got := one.Verify(token, time.Now()).Reason; got != keys.UnknownToken {
		t.Errorf("at the gate that has acknowledged the deletion the token is %s", got)
	}
	two.wait(t, token, keys.UnknownToken)
	if err := two.Delete(t.Context(), alice, id); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("a second deletion: %v", err)
	}
}

// Gates whose retention ends at the same time delete each key once.
func TestRetentionAtSeveralGates(t *testing.T) {
	o := options(pgtest.Database(t))
	gates := []*gate{startGate(t, o), startGate(t, o), startGate(t, o)}
	_, kept := gates[0].create(t, "kept")
	const count = 60
	storage := open(t, o)
	tokens := make([]string, count)
	for i := range tokens {
		id, token := gates[0].create(t, fmt.Sprint("key ", i))
		if tokens[i] = token; i%2 == 0 { // with usage, whose rows are removed as well
			if err := storage.SaveUse(t.Context(), []usage.Row{{ID: id, LastUsed: 1}}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := gates[0].Revoke(t.Context(), alice, id); err != nil {
			t.Fatal(err)
		}
	}
	var running sync.WaitGroup
	var total atomic.Int64
	for _, g := range gates {
		running.Go(func() {
			n, err := g.DeleteRevoked(t.Context(), alice, time.Now().Add(time.Hour))
			if err != nil {
				t.Error(err)
			}
			total.Add(int64(n))
		})
	}
	running.Wait()
	if total.Load() != count {
		t.Errorf("%d deletions, want %d", total.Load(), count)
	}
	for _, g := range gates {
		for _, token := range tokens {
			g.wait(t, token, keys.UnknownToken)
		}
		g.wait(t, kept, keys.Allowed)
	}
	if err := storage.Use(t.Context(), func(r usage.Row) error { t.Errorf("the usage of %s is stored", r.ID); return nil }); err != nil {
		t.Error(err)
	}
}

// A change that sends no notification, or whose notification is lost, is found by the next poll.
func TestMissedNotification(t *testing.T) {
	database := pgtest.Database(t)
	g := startGate(t, options(database))
	id, token := g.create(t, "a")
	g.wait(t, token, keys.Allowed)
	from := open(t, options(database))
	r, err := from.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	r.State, r.Revision = keys.Revoked, r.Revision+1
	pgtest.Exec(t, database, fmt.Sprintf(`BEGIN; UPDATE docsgate.state SET revision = %d;
		UPDATE docsgate.keys SET revision = %[1]d, body = '\x%x' WHERE id = '%s'; COMMIT`, r.Revision, recordcodec.AppendRecord(nil, r), id))
	g.wait(t, token, keys.RevokedKey)
}

// While a gate has no connection it keeps its keys and rejects changes, and afterwards it follows again.
func TestPartitionedGate(t *testing.T) {
	database := pgtest.Database(t)
	connected := startGate(t, options(database))
	proxy := feedtest.NewProxy(t, pgtest.Host())
	uri := strings.Replace(pgtest.URI("postgres", database), pgtest.Host(), proxy.Addr(), 1)
	cut := startGate(t, pgstore.Options{URI: keys.NewSecret(uri), Timeout: time.Second, PollInterval: 50 * time.Millisecond})
	kept, keptToken := connected.create(t, "kept")
	gone, goneToken := connected.create(t, "gone")
	for _, token := range []string{keptToken, goneToken} {
		cut.wait(t, token, keys.Allowed)
	}
	for name, partition := range map[string]func(){"refused": proxy.Refuse, "no responses": proxy.Blackhole} {
		partition()
		if _, err := cut.Revoke(t.Context(), alice, kept); err == nil {
			t.Errorf("%s: a change without a connection was acknowledged", name)
		}
		if got := cut.Verify(keptToken, time.Now()).Reason; got != keys.Allowed {
			t.Errorf("%s: a known key is %s", name, got)
		}
		proxy.Accept()
	}
	proxy.Refuse()
	if _, err := connected.Revoke(t.Context(), alice, gone); err != nil {
		t.Fatal(err)
	}
	connected.wait(t, goneToken, keys.RevokedKey)
	proxy.Accept()
	cut.wait(t, goneToken, keys.RevokedKey)
	cut.wait(t, keptToken, keys.Allowed)
	if _, err := cut.Revoke(t.Context(), alice, kept); err != nil {
		t.Fatal(err)
	}
	connected.wait(t, keptToken, keys.RevokedKey)
}
