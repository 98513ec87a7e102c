package console

import (
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/keyindex"
	"github.com/docsgate/docsgate/keys/pgstore"
	"github.com/docsgate/docsgate/keys/registry"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// openGate returns a client of a console whose key store is a database that it shares with others. All gates have the secret at path.
func openGate(t *testing.T, uri, path string) *client {
	t.Helper()
	storage, err := pgstore.Open(t.Context(), pgstore.Options{URI: keys.NewSecret(uri), Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	encrypter := registry.NewEncrypter(path)
	encrypter.Share(storage)
	if err := encrypter.CheckShared(t.Context()); err != nil {
		t.Fatal(err)
	}
	reg, err := registry.New(registry.Options{Storage: storage, Claims: storage, Encrypter: encrypter})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = reg.Close() })
	d := &keyservice.Service{Registry: reg, Index: keyindex.New(), Store: keys.NewStore(), Feed: reg.Feed().Name()}
	state := NewStoredState(storage, storage, func() ([][32]byte, error) { return encrypter.Derive("forms") })
	return open(t, Options{Service: d, Token: keys.NewSecret(adminToken), SharedState: state})
}

// copyCookies gives the client of another console the cookies of this one.
func (b *client) copyCookies(other *client) {
	b.Helper()
	from, err := url.Parse(b.url)
	if err != nil {
		b.Fatal(err)
	}
	to, err := url.Parse(other.url)
	if err != nil {
		b.Fatal(err)
	}
	other.client.Jar.SetCookies(to, b.client.Jar.Cookies(from))
}

// A session, and a form, of one gate are valid at the others, also the end of the session.
func TestSessionsOfGates(t *testing.T) {
	uri, secret := pgtest.URI("postgres", pgtest.Database(t)), filepath.Join(t.TempDir(), "secret")
	a, b := openGate(t, uri, secret), openGate(t, uri, secret)
	if resp, _ := a.submit("/login", url.Values{"token": {adminToken}}); resp.StatusCode != http.StatusOK {
		t.Fatalf("signing in: %d", resp.StatusCode)
	}
	a.copyCookies(b)
	resp, page := a.do(http.MethodGet, "/new", "")
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("the form: %d", resp.StatusCode)
	}
	// The form of one gate is submitted to both at the same time, and executed once.
	form := url.Values{"nonce": {nonceIn(t, page)}, "name": {"Site"}, "binding": {"source"}, "sources": {"handbook"}, "lifetime": {"never"}}
	var group sync.WaitGroup
	var mu sync.Mutex
	tokens := 0
	for _, at := range []*client{a, b, a, b} {
		group.Go(func() {
			resp, page := at.submit("/new", form)
			mu.Lock()
			defer mu.Unlock()
			if strings.Contains(page, "dgk_") {
				tokens++
			}
			if resp.StatusCode >= 400 && !strings.Contains(page, "This key was already created") {
				t.Errorf("submitting the form: %d\n%s", resp.StatusCode, page)
			}
		})
	}
	group.Wait()
	if tokens != 1 {
		t.Errorf("%d pages show a new token", tokens)
	}
	var listed struct {
		Entries []struct{ Action string } `json:"entries"`
	}
	_, text := b.do(http.MethodGet, "/v1/audit", "")
	if err := json.Unmarshal([]byte(text), &listed); err != nil || len(listed.Entries) != 1 {
		t.Errorf("the audit trail: %s", text)
	}
	if resp, _ := b.submit("/logout", nil); resp.Request.URL.Path != "/login" {
		t.Errorf("signing out: %d at %s", resp.StatusCode, resp.Request.URL)
	}
	if resp, _ := a.do(http.MethodGet, "/new", ""); resp.Request.URL.Path != "/login" {
		t.Errorf("after signing out at the other gate: %d at %s", resp.StatusCode, resp.Request.URL)
	}
}

func nonceIn(t *testing.T, page string) string {
	t.Helper()
	_, rest, ok := strings.Cut(page, `name="nonce" value="`)
	if !ok {
		t.Fatalf("no form:\n%s", page)
	}
	nonce, _, _ := strings.Cut(rest, `"`)
	return nonce
}

// Requests with the same Idempotency-Key at two gates create one key.
func TestIdempotencyOfGates(t *testing.T) {
	uri, secret := pgtest.URI("postgres", pgtest.Database(t)), filepath.Join(t.TempDir(), "secret")
	gates := []*client{openGate(t, uri, secret), openGate(t, uri, secret), openGate(t, uri, secret)}
	for round := range 10 {
		var group sync.WaitGroup
		var mu sync.Mutex
		created, ids := 0, map[string]bool{}
		for n := range 6 {
			group.Go(func() {
				resp, text := gates[n%3].do(http.MethodPost, "/v1/keys", `{"name":"k","source":"handbook"}`, "Content-Type", "application/json",
					"Authorization", "Bearer "+adminToken, "Idempotency-Key", "round-"+string(rune('a'+round)))
				var k struct{ ID, Key, Code string }
				_ = json.Unmarshal([]byte(text), &k)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case resp.StatusCode == http.StatusCreated:
					if resp.Header.Get("Idempotency-Replayed") == "" {
						created++
					}
					ids[k.ID] = true
				case k.Code == "idempotency_key_completed":
					ids[k.Key] = true
				default:
					t.Errorf("%d %s", resp.StatusCode, text)
				}
			})
		}
		group.Wait()
		if created != 1 || len(ids) != 1 {
			t.Fatalf("%d requests were executed, and %d keys are named", created, len(ids))
		}
	}
}

// Without the key store, a browser gets an error and not the login page, and stays signed in.
func TestSessionsDuringOutage(t *testing.T) {
	database, secret := pgtest.Database(t), filepath.Join(t.TempDir(), "secret")
	proxy := feedtest.NewProxy(t, pgtest.Host())
	b := openGate(t, strings.Replace(pgtest.URI("postgres", database), pgtest.Host(), proxy.Addr(), 1), secret)
	if resp, _ := b.submit("/login", url.Values{"token": {adminToken}}); resp.StatusCode != http.StatusOK {
		t.Fatalf("signing in: %d", resp.StatusCode)
	}
	proxy.Refuse()
	for path, form := range map[string]url.Values{"/new": nil, "/login": {"token": {adminToken}}} {
		resp, page := b.do(http.MethodGet, path, "")
		if form != nil {
			resp, page = b.submit(path, form)
		}
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Request.URL.Path != path || !strings.Contains(page, "unavailable") {
			t.Errorf("%s: %d at %s", path, resp.StatusCode, resp.Request.URL)
		}
	}
	if resp, text := b.do(http.MethodGet, "/v1/keys", ""); resp.StatusCode != http.StatusServiceUnavailable || !strings.Contains(text, "store_unavailable") {
		t.Errorf("the API: %d %s", resp.StatusCode, text)
	}
	if resp, page := b.submit("/logout", nil); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("signing out: %d %s", resp.StatusCode, page)
	}
	proxy.Accept()
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		resp, _ := b.do(http.MethodGet, "/new", "")
		if resp.StatusCode == http.StatusOK && resp.Request.URL.Path == "/new" {
			break
		}
		if time.Since(start) > 30*time.Second {
			t.Fatalf("afterwards: %d at %s", resp.StatusCode, resp.Request.URL)
		}
	}
}
