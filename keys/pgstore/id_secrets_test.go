package pgstore_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/idsecrets"
	"github.com/docsgate/docsgate/keys/pgstore"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/ownership/signedid"
)

// idsGate is what a gate has to sign and to encrypt.
type idsGate struct {
	store *pgstore.Store
	path  string // of the secret
	*registry.Encrypter
	*registry.Registry
	ids *idsecrets.Secrets
}

func startIDs(t testing.TB, o pgstore.Options, path, cache string) *idsGate {
	t.Helper()
	s := open(t, o)
	encrypter := registry.NewEncrypter(path)
	if err := share(t, encrypter, s); err != nil {
		t.Fatal(err)
	}
	r, err := registry.New(registry.Options{Storage: s, Encrypter: encrypter})
	if err != nil {
		t.Fatal(err)
	}
	ids, err := idsecrets.New(t.Context(), idsecrets.Options{
		Storage: s, Encrypter: encrypter, Cache: cache, Log: slog.New(slog.DiscardHandler), Name: path,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.OnReencrypt(func(ctx context.Context, e *registry.Encrypter) (int, error) { return idsecrets.Reencrypt(ctx, s, e) })
	var running sync.WaitGroup
	ctx := t.Context()
	running.Go(func() { ids.Run(ctx) })
	t.Cleanup(running.Wait)
	return &idsGate{s, path, encrypter, r, ids}
}

var subject = signedid.Subject{Kind: "conversation", Owner: [16]byte{1}}

func (g *idsGate) rotate(t testing.TB, delay time.Duration, endPrevious bool) (uint8, error) {
	return idsecrets.Rotate(t.Context(), g.store, g.Encrypter, delay, endPrevious)
}

func (g *idsGate) sign(id string) string {
	return g.ids.Current().Signer.Sign(id, &subject, time.Now())
}

func (g *idsGate) valid(signed string) bool {
	_, ok := g.ids.Current().Signer.Check(signed, &subject, time.Now())
	return ok
}

// waitUntil waits until a condition is true.
func waitUntil(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for start := time.Now(); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Since(start) > deadline {
			t.Fatalf("%s: not after %s", what, deadline)
		}
	}
}

// Gates that start at the same time sign with one secret. During a rotation each ID of any gate is always valid at all gates.
func TestIDsOfAllGates(t *testing.T) {
	o := options(pgtest.Database(t))
	path := secretPath(t)
	if err := share(t, registry.NewEncrypter(path), open(t, o)); err != nil {
		t.Fatal(err)
	}
	gates := make([]*idsGate, 3)
	var starting sync.WaitGroup
	for i := range gates {
		starting.Go(func() { gates[i] = startIDs(t, o, copySecret(t, path), "") })
	}
	starting.Wait()
	if t.Failed() {
		t.FailNow()
	}
	first := gates[0].sign("a")
	stop := make(chan struct{})
	var load sync.WaitGroup
	for i, g := range gates {
		load.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				signed := g.sign(fmt.Sprint("id", n))
				for _, other := range gates {
					if !other.valid(signed) {
						t.Errorf("an ID of gate %d is not valid", i)
						return
					}
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	// Pending for longer than a busy machine needs to follow.
	number, err := gates[1].rotate(t, 3*time.Second, false)
	if err != nil || number != 2 {
		t.Fatalf("secret %d, %v", number, err)
	}
	prefix := strings.Split(first, ".")[1][:3]
	waitUntil(t, "the new secret signs at all gates", func() bool {
		for _, g := range gates {
			if strings.HasPrefix(strings.Split(g.sign("a"), ".")[1], prefix) {
				return false
			}
		}
		return true
	})
	close(stop)
	load.Wait()
	for _, g := range gates {
		if !g.valid(first) {
			t.Error("an ID of the earlier secret is not valid")
		}
	}
	last := gates[0].sign("a")
	if _, err := gates[0].rotate(t, time.Hour, true); err != nil {
		t.Fatal(err)
	}
	for _, g := range gates {
		waitUntil(t, "IDs of ended secrets are unknown", func() bool { return !g.valid(first) && !g.valid(last) })
	}
	waitUntil(t, "the new secret is valid", func() bool { return gates[1].valid(gates[0].sign("a")) && gates[2].valid(gates[1].sign("a")) })
}

// Expired secrets are removed by the next rotation, and there is a maximum.
func TestIDSecretsExpire(t *testing.T) {
	database := pgtest.Database(t)
	g := startIDs(t, options(database), secretPath(t), "")
	for range 3 {
		if _, err := g.rotate(t, 0, false); err != nil {
			t.Fatal(err)
		}
	}
	pgtest.Exec(t, database, "UPDATE docsgate.id_secrets SET signs_at = signs_at - interval '31 days' WHERE number <= 3")
	if _, err := g.rotate(t, 0, false); err != nil {
		t.Fatal(err)
	}
	stored, err := g.store.IDSecrets(t.Context())
	if err != nil || len(stored.Rows) != 3 || stored.Rows[0].Number != 3 || stored.Rows[2].Number != 5 {
		t.Errorf("%+v, %v", stored.Rows, err)
	}
	for err == nil {
		_, err = g.rotate(t, 0, false)
	}
	if !strings.Contains(err.Error(), "maximum") {
		t.Error(err)
	}
	if _, err := g.rotate(t, 0, true); err != nil {
		t.Errorf("the end of all secrets: %v", err)
	}
}

// A gate that starts without the key store uses its copy, and follows again afterwards.
func TestStartWithoutKeyStore(t *testing.T) {
	o := options(pgtest.Database(t))
	path, cache := secretPath(t), filepath.Join(t.TempDir(), "store.ids")
	g := startIDs(t, o, path, cache)
	signed := g.sign("a")
	data, err := os.ReadFile(cache)
	if err != nil {
		t.Fatal(err)
	}
	proxy := feedtest.NewProxy(t, pgtest.Host())
	o.URI = keys.NewSecret(strings.Replace(pgtest.URI("postgres", strings.Split(g.store.Name(), "/")[1]), pgtest.Host(), proxy.Addr(), 1))
	o.Timeout = time.Second
	s := open(t, o)
	proxy.Refuse()
	encrypter := registry.NewEncrypter(path)
	settings := idsecrets.Options{Storage: s, Encrypter: encrypter, Cache: cache, Log: slog.New(slog.DiscardHandler)}
	cold, err := idsecrets.New(t.Context(), settings)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := cold.Current().Signer.Check(signed, &subject, time.Now()); !ok || cold.Current().Blocklist != g.ids.Current().Blocklist {
		t.Error("the IDs of before are unknown")
	}
	for name, damage := range map[string][]byte{"damaged": append(data[:len(data)-1:len(data)-1], 0), "empty": nil} {
		if err := os.WriteFile(cache, damage, 0o600); err != nil {
			t.Fatal(err)
		}
		cold, err = idsecrets.New(t.Context(), settings)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if _, ok := cold.Current().Signer.Check(signed, &subject, time.Now()); ok {
			t.Errorf("%s: the IDs of before are valid", name)
		}
	}
	proxy.Accept()
	go cold.Run(t.Context())
	waitUntil(t, "the IDs of before are valid", func() bool {
		_, ok := cold.Current().Signer.Check(signed, &subject, time.Now())
		return ok
	})
}
