package caddymodule_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

const (
	agentOfAlpha = "11111111-0000-4000-8000-000000000001"
	agentOfBeta  = "11111111-0000-4000-8000-000000000002"
)

// docsgptFeedTest is a gate with the feed docsgpt. Its database is a real PostgreSQL behind a proxy that can simulate outages.
type docsgptFeedTest struct {
	*storeTest
	database string
	wire     *feedtest.Proxy
}

func newDocsGPTFeedTest(t *testing.T) *docsgptFeedTest {
	t.Helper()
	a := &docsgptFeedTest{storeTest: newStoreTest(t), database: pgtest.Database(t)}
	for _, file := range []string{"docsgpt-0.17.sql", "docsgpt-1.1.sql"} {
		schema, err := os.ReadFile(filepath.Join("..", "keys", "pgfeed", "testdata", file))
		if err != nil {
			t.Fatal(err)
		}
		pgtest.Exec(t, a.database, string(schema))
	}
	a.addAgent(agentOfAlpha, "alpha", agentAlpha)
	a.addAgent(agentOfBeta, "beta", agentBeta)
	a.wire = feedtest.NewProxy(t, pgtest.Host())
	t.Setenv("POSTGRES", strings.Replace(pgtest.URI("postgres", a.database), pgtest.Host(), a.wire.Addr(), 1))
	return a
}

func (a *docsgptFeedTest) addAgent(id, name, key string) {
	pgtest.Exec(a.t, a.database, fmt.Sprintf(
		"INSERT INTO agents (id, user_id, name, status, key) VALUES ('%s', 'local', '%s', 'published', '%s')", id, name, key))
}

func (a *docsgptFeedTest) config(options string, sites ...string) string {
	feed := fmt.Sprintf("feed docsgpt {env.POSTGRES} {\nsnapshot %s\n%s\n}\n\t\tfeed file", filepath.Join(a.dir, "snapshot"), options)
	return strings.Replace(a.storeTest.config(sites...), "feed file", feed, 1)
}

func TestDocsGPTFeed(t *testing.T) {
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			a := newDocsGPTFeedTest(t)
			site := fmt.Sprintf(site, a.address, "")
			if err := a.load(a.config("poll_interval 20ms", site)); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = caddy.Stop() })
			is := func(what, token string, status int, said string) {
				t.Helper()
				if r := a.ask("/api/answer", token, "Q", ""); r.status != status || !strings.Contains(r.body, said) {
					t.Errorf("%s: %d %s, want %d with %s", what, r.status, r.body, status, said)
				}
			}
			is("DocsGPT's own key", agentAlpha, 200, "source=alpha")
			is("in another spelling", strings.ToUpper(agentAlpha), 401, "invalid_api_key")

			_, public := a.create(`{"name":"For the page","agent":"agent_` + agentOfAlpha + `"}`)
			is("a token of the gate's own in its place", public, 200, "source=alpha")

			if err := a.load(a.config("poll_interval 20ms\nexclude_keys agent_"+agentOfAlpha, site)); err != nil {
				t.Fatal(err)
			}
			is("DocsGPT's own key, switched off at the gate", agentAlpha, 401, "invalid_api_key")
			is("the token that stands for it", public, 200, "source=alpha")
			if err := a.load(a.config("poll_interval 20ms\nexclude_keys agent_"+agentOfAlpha+" agent_6e0c6a14-0000", site)); err == nil ||
				!strings.Contains(err.Error(), "exclude_keys contains 6e0c6a14-0000, but no agent with such an id has a key") {
				t.Errorf("an unknown key is excluded: %v", err)
			}
			is("DocsGPT's own key after the rejected configuration", agentAlpha, 401, "invalid_api_key")
			if err := a.load(a.config("poll_interval 20ms", site)); err != nil {
				t.Fatal(err)
			}
			is("DocsGPT's own key, switched on again", agentAlpha, 200, "source=alpha")

			rotated := "canary-agent-rotated"
			pgtest.Exec(t, a.database, "UPDATE agents SET key = '"+rotated+"' WHERE id = '"+agentOfBeta+"'")
			waitFor(t, "the old key is refused", func() bool { return a.ask("/api/answer", agentBeta, "Q", "").status == 401 })

			// During an outage known keys remain valid, and no token is rejected as unknown.
			a.wire.Refuse()
			waitFor(t, "an unknown key is not called wrong", func() bool {
				return a.ask("/api/answer", "canary-nobodys", "Q", "").status == 503
			})
			is("a known key without the database", agentAlpha, 200, "source=alpha")
			is("a token of the gate's own without the database", public, 200, "source=alpha")
			if err := a.load(a.config("poll_interval 20ms", site+"# changed\n")); err != nil {
				t.Errorf("a reload without the database: %v", err)
			}
			is("a known key after that reload", agentAlpha, 200, "source=alpha")
			if err := caddy.Stop(); err != nil {
				t.Fatal(err)
			}
			before := len(a.logs())
			if err := a.load(a.config("poll_interval 20ms", site)); err != nil {
				t.Fatalf("a start without the database: %v", err)
			}
			if said := a.logs()[before:]; !strings.Contains(said, "using the keys cached at 20") {
				t.Errorf("the log does not say that the keys are stale: %s", said)
			}
			is("a known key after a start without the database", agentAlpha, 200, "source=alpha")
			is("an unknown one", "canary-nobodys", 503, "not_ready")

			pgtest.Exec(t, a.database, "DELETE FROM agents WHERE id = '"+agentOfAlpha+"'")
			a.wire.Accept()
			waitFor(t, "the database is there again, and the deleted key is refused", func() bool {
				return a.ask("/api/answer", agentAlpha, "Q", "").status == 401
			})
			waitFor(t, "the token that stood for it is refused", func() bool {
				return a.ask("/api/answer", public, "Q", "").status == 503
			})
			is("an unknown key", "canary-nobodys", 401, "invalid_api_key")

			assertNoSecrets(t, "the log", a.logs())
			for _, file := range []string{"snapshot", "store/keys.db"} {
				text, err := os.ReadFile(filepath.Join(a.dir, file))
				if err != nil {
					t.Fatal(err)
				}
				assertNoSecrets(t, file, string(text))
			}
		})
	}
}

// A reload reads a new URI from the file that contains it, even if the configuration is the same.
func TestDocsGPTFeedChangedURI(t *testing.T) {
	a := newDocsGPTFeedTest(t)
	file := filepath.Join(a.dir, "uri")
	uri := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	site := fmt.Sprintf(forwardModes["built-in"], a.address, "")
	config := strings.Replace(a.config("poll_interval 20ms", site), "{env.POSTGRES}", "{file."+file+"}", 1)
	uri(os.Getenv("POSTGRES"))
	if err := a.load(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caddy.Stop() })
	if r := a.ask("/api/answer", agentAlpha, "Q", ""); r.status != 200 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	uri(pgtest.URI("postgres", pgtest.Database(t))) // a database without DocsGPT's tables
	if err := a.load(config); err == nil || !strings.Contains(err.Error(), "agents") {
		t.Errorf("the new address was not read: %v", err)
	}
}

// A database on another machine must have TLS. Otherwise the configuration is rejected, and the error says how to fix that. If
// plaintext is allowed, a warning is logged.
func TestRemotePlaintextDatabaseRejected(t *testing.T) {
	a := newDocsGPTFeedTest(t)
	site := fmt.Sprintf(forwardModes["built-in"], a.address, "")
	for _, uri := range []string{
		"postgres://docsgpt:hunter2@db.invalid/docsgpt?sslmode=disable", "mongodb://docsgpt:hunter2@db.invalid/docsgpt",
	} {
		t.Setenv("POSTGRES", uri)
		err := a.load(a.config("poll_interval 20ms", site))
		if err == nil || !strings.Contains(err.Error(), "db.invalid") || !strings.Contains(err.Error(), "insecure_plaintext") ||
			strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", uri, err)
		}
		before := len(a.logs())
		if err := a.load(a.config("insecure_plaintext", site)); err != nil { // an unavailable database is not an error of the configuration
			t.Errorf("%s, with plaintext allowed: %v", uri, err)
		}
		t.Cleanup(func() { _ = caddy.Stop() })
		if said := a.logs()[before:]; !strings.Contains(said, "is not encrypted") || !strings.Contains(said, "db.invalid") ||
			strings.Contains(said, "hunter2") {
			t.Errorf("the log: %s", said)
		}
	}
}
