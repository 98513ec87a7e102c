package caddymodule_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/jackc/pgx/v5"

	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/pgstore"
	"github.com/docsgate/docsgate/keys/registry"
)

// newDatabaseTest returns a storeTest whose key store is a PostgreSQL database.
func newDatabaseTest(t *testing.T) *storeTest {
	t.Helper()
	i := newStoreTest(t)
	t.Setenv("STORE_URI", pgtest.URI("postgres", pgtest.Database(t)))
	i.store = "{env.STORE_URI}"
	return i
}

// The feed store behaves alike with a file and a database.
func TestStoreFeedInDatabase(t *testing.T) {
	testStoreFeed(t, newDatabaseTest, func(i *storeTest) string {
		t := i.t
		db, err := pgx.Connect(t.Context(), os.Getenv("STORE_URI"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close(t.Context())
		var text strings.Builder
		for _, table := range []string{"keys", "tokens", "overrides", "audit", "idempotency_records", "usage", "quotas", "state"} {
			rows, err := db.Query(t.Context(), "SELECT * FROM docsgate."+table)
			if err != nil {
				t.Fatal(err)
			}
			for rows.Next() {
				for _, raw := range rows.RawValues() {
					text.Write(raw)
				}
			}
			if rows.Err() != nil {
				t.Fatal(rows.Err())
			}
		}
		if !strings.Contains(text.String(), "A pasted one") {
			t.Fatal("the rows were not read")
		}
		return text.String()
	})
}

// otherGate returns the registry of another gate with the same database.
func (i *storeTest) otherGate() *registry.Registry {
	i.t.Helper()
	storage, err := pgstore.Open(i.t.Context(), pgstore.Options{URI: keys.NewSecret(os.Getenv("STORE_URI"))})
	if err != nil {
		i.t.Fatal(err)
	}
	other, err := registry.New(registry.Options{Storage: storage})
	if err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { _ = other.Close() })
	return other
}

// A change at another gate with the same database is enforced here, and ends streams.
func TestChangesOfAnotherGate(t *testing.T) {
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			i := newDatabaseTest(t)
			i.start(fmt.Sprintf(site, i.address, ""))
			other := i.otherGate()
			by := registry.Actor{Name: "another gate"}
			made, err := other.Create(t.Context(), by, registry.CreateRequest{Name: "k", Sources: []string{sourceAlpha}})
			if err != nil {
				t.Fatal(err)
			}
			token := made.Token.Reveal()
			waitFor(t, "the key is valid", func() bool { return i.ask("/api/answer", token, "Q", "").status == http.StatusOK })
			open := i.startQuestion(i.urls[0], "/stream", token, "[[gap=30]]")
			waitFor(t, "the answer is in flight", func() bool { return i.upstream.Load() == 1 })
			if _, err := other.Revoke(t.Context(), by, made.Record.ID); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the key is not valid", func() bool { return i.ask("/api/answer", token, "Q", "").status == http.StatusUnauthorized })
			if r := <-open.done; !strings.Contains(r.body, `"code":"key_revoked"`) {
				t.Errorf("the stream of a revoked key ended with %d %s", r.status, r.body)
			}
		})
	}
}

func TestStoreDatabaseErrors(t *testing.T) {
	i := newDatabaseTest(t)
	site := fmt.Sprintf(forwardModes["built-in"], i.address, "")
	uri := pgtest.URI("postgres", pgtest.Database(t))
	for name, c := range map[string]struct{ uri, block, want string }{
		"no database":                      {pgtest.URI("postgres", "missing"), "", "does not exist"},
		"another machine":                  {"postgres://u@192.0.2.1/db?sslmode=disable", "", "insecure_plaintext"},
		"schema":                           {uri, "schema Keys", "lower-case letters"},
		"an empty value":                   {"", "", "must not be empty"},
		"options of a database for a file": {filepath.Join(i.dir, "k.db"), "schema keys", "need a PostgreSQL database"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("STORE_URI", c.uri)
			config := i.config(site)
			if c.block != "" {
				config = strings.Replace(config, "feed store "+i.store, "feed store "+i.store+" {\n"+c.block+"\n}", 1)
			}
			err := i.load(config)
			if err == nil {
				_ = caddy.Stop()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret-of-the-test") {
				t.Errorf("%v, want an error with %q", err, c.want)
			}
		})
	}
}
