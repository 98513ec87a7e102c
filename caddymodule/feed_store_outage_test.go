package caddymodule_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

// newOutageTest returns a storeTest whose database is behind a proxy, and the registry of another gate that is not.
func newOutageTest(t *testing.T) (i *storeTest, p *feedtest.Proxy, other *registry.Registry) {
	t.Helper()
	i = newDatabaseTest(t)
	other = i.otherGate()
	p = feedtest.NewProxy(t, pgtest.Host())
	t.Setenv("STORE_URI", strings.Replace(os.Getenv("STORE_URI"), pgtest.Host(), p.Addr(), 1))
	return i, p, other
}

func (i *storeTest) waitStatus(what, token string, status int) {
	i.t.Helper()
	waitFor(i.t, what, func() bool { return i.ask("/api/answer", token, "Q", "").status == status })
}

// While the database of the key store is unavailable, known keys and streams work, also after a restart, and other tokens get 503.
func TestStoreDatabaseOutage(t *testing.T) {
	i, p, other := newOutageTest(t)
	site := fmt.Sprintf(forwardModes["built-in"], i.address, "")
	i.start(site)
	key := fmt.Sprintf(`{"name": "k", "sources": [%q]}`, sourceAlpha)
	id, token := i.create(key)
	_, kept := i.create(key)
	unknown := keys.NewToken(0)
	i.waitStatus("a key", token, http.StatusOK)
	i.waitStatus("an unknown token", unknown, http.StatusUnauthorized)
	open := i.startQuestion(i.urls[0], "/stream", token, "[[gap=30]]")
	waitFor(t, "the answer is in flight", func() bool { return i.upstream.Load() == 1 })

	p.Refuse()
	i.waitStatus("an unknown token during the outage", unknown, http.StatusServiceUnavailable)
	if r := i.ask("/api/answer", kept, "Q", ""); r.status != http.StatusOK {
		t.Errorf("a known key during the outage: %d %s", r.status, r.body)
	}
	for _, c := range []struct{ method, path, body string }{
		{http.MethodPost, "/v1/keys", key}, {http.MethodPost, "/v1/keys/" + id + "/revoke", "{}"}, {http.MethodGet, "/v1/audit", ""},
	} {
		if status, got := i.call(c.method, c.path, c.body); status != http.StatusServiceUnavailable || got["code"] != "store_unavailable" {
			t.Errorf("%s %s during the outage: %d %v", c.method, c.path, status, got)
		}
	}
	if status, got := i.call(http.MethodGet, "/v1/keys/"+id, ""); status != http.StatusOK || got["name"] != "k" {
		t.Errorf("reading a key during the outage: %d %v", status, got)
	}
	select {
	case r := <-open.done:
		t.Errorf("the stream ended during the outage: %d %s", r.status, r.body)
	default:
	}
	if _, err := other.Revoke(t.Context(), registry.Actor{Name: "another gate"}, id); err != nil {
		t.Fatal(err)
	}
	p.Accept()
	if r := <-open.done; !strings.Contains(r.body, `"code":"key_revoked"`) {
		t.Errorf("the stream of a key that was revoked during the outage ended with %d %s", r.status, r.body)
	}
	i.waitStatus("an unknown token after the outage", unknown, http.StatusUnauthorized)

	i.stop()
	p.Refuse()
	i.start(site)
	i.waitStatus("a known key after a cold start", kept, http.StatusOK)
	i.waitStatus("a revoked key after a cold start", token, http.StatusUnauthorized)
	i.waitStatus("an unknown token after a cold start", unknown, http.StatusServiceUnavailable)
	p.Accept()
	i.waitStatus("an unknown token after the second outage", unknown, http.StatusUnauthorized)
	_, later := i.create(key)
	i.waitStatus("a new key", later, http.StatusOK)
}

// A gate without a copy starts without the keys of the store. It rejects the keys of other feeds, too, since they may be disabled.
func TestStoreDatabaseOutageWithoutCopy(t *testing.T) {
	i, p, _ := newOutageTest(t)
	p.Refuse()
	i.start(fmt.Sprintf(forwardModes["built-in"], i.address, ""))
	if _, err := os.Stat(filepath.Join(i.dir, "store.copy")); err == nil {
		t.Error("there is a copy")
	}
	i.waitStatus("an unknown token", keys.NewToken(0), http.StatusServiceUnavailable)
	i.waitStatus("a key of a file", tokenSource, http.StatusServiceUnavailable)
	p.Accept()
	i.waitStatus("a key of a file after the outage", tokenSource, http.StatusOK)
}

// A gate that was started while the database was unavailable checks its secret afterwards. With another secret than that of the database it
// rejects all changes and says what to do. Its keys are valid, and it follows the changes of other gates. With the right secret it works.
func TestWrongSecretAfterOutage(t *testing.T) {
	i, p, other := newOutageTest(t)
	site := fmt.Sprintf(forwardModes["built-in"], i.address, "")
	i.start(site)
	key := fmt.Sprintf(`{"name": "k", "sources": [%q]}`, sourceAlpha)
	_, kept := i.create(key)
	id, token := i.create(key)
	i.waitStatus("a key", token, http.StatusOK)
	path := secretOf(os.Getenv("XDG_DATA_HOME"))
	right, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	i.stop()
	p.Refuse()
	wrong := "docsgate-secret-1 " + strings.Repeat("B", 42) + "A=\n"
	if err := os.WriteFile(path, []byte(wrong), 0o600); err != nil {
		t.Fatal(err)
	}
	i.start(site)
	i.waitStatus("a known key", kept, http.StatusOK)
	p.Accept()
	i.waitStatus("an unknown token after the outage", keys.NewToken(0), http.StatusUnauthorized)
	for path, body := range map[string]string{
		"/v1/keys": key, "/v1/keys/" + id + "/disable": "", "/v1/id-secrets/rotate": `{}`,
	} {
		status, got := i.call(http.MethodPost, path, body)
		if status != http.StatusServiceUnavailable || got["code"] != "store_secret_missing" || !strings.Contains(fmt.Sprint(got["detail"]), "store.secret") {
			t.Errorf("%s with another secret: %d %v", path, status, got)
		}
	}
	if _, err := other.Revoke(t.Context(), registry.Actor{Name: "another gate"}, id); err != nil {
		t.Fatal(err)
	}
	i.waitStatus("a key that another gate has revoked", token, http.StatusUnauthorized)
	i.waitStatus("a known key", kept, http.StatusOK)

	if err := os.WriteFile(path, right, 0o600); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "changes are accepted", func() bool {
		status, _ := i.call(http.MethodPost, "/v1/keys", key)
		return status == http.StatusCreated
	})
}
