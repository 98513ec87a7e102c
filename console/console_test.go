package console

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
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

const adminToken = "admin-token-of-the-test"

// newService returns a service with an empty registry in memory.
func newService(t *testing.T) *keyservice.Service {
	t.Helper()
	meter := usage.NewMeter()
	reg, err := registry.New(registry.Options{Storage: memstorage.New(), Usage: meter})
	if err != nil {
		t.Fatal(err)
	}
	feed := reg.Feed()
	d := &keyservice.Service{Registry: reg, Index: keyindex.New(), Store: keys.NewStore(), Usage: meter, Feed: feed.Name()}
	d.Store.Listen(d.Index)
	syncer := keys.NewSyncer(d.Store, []keys.Feed{feed}, nil)
	if err := syncer.LoadAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	reg.OnChange(func(ctx context.Context) error { return syncer.Sync(ctx, feed.Name()) })
	return d
}

// client is a client with cookies that follows redirects.
type client struct {
	*testing.T
	client *http.Client
	url    string
}

func open(t *testing.T, o Options) *client {
	t.Helper()
	handler, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &client{t, &http.Client{Jar: jar, Timeout: time.Minute}, server.URL}
}

func (b *client) do(method, path, body string, headers ...string) (*http.Response, string) {
	b.Helper()
	r, err := http.NewRequestWithContext(b.Context(), method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := b.client.Do(r)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	return resp, string(text)
}

func (b *client) submit(path string, form url.Values, headers ...string) (*http.Response, string) {
	b.Helper()
	return b.do(http.MethodPost, path, form.Encode(),
		append(headers, "Content-Type", "application/x-www-form-urlencoded", "Sec-Fetch-Site", "same-origin")...)
}

func TestSignInCreateAndCall(t *testing.T) {
	desk := newService(t)
	b := open(t, Options{Service: desk, Token: keys.NewSecret(adminToken)})

	if resp, page := b.do(http.MethodGet, "/new", ""); resp.Request.URL.Path != "/login" || !strings.Contains(page, "Admin token") {
		t.Fatalf("without signing in: %s\n%s", resp.Request.URL, page)
	}
	if resp, page := b.submit("/login", url.Values{"token": {"a wrong admin token"}}); resp.StatusCode != http.StatusUnauthorized ||
		!strings.Contains(page, "This is not the admin token.") {
		t.Fatalf("status %d with a wrong token", resp.StatusCode)
	}
	resp, page := b.submit("/login", url.Values{"token": {adminToken}, "back": {"/new"}})
	if resp.StatusCode != http.StatusOK || resp.Request.URL.Path != "/new" {
		t.Fatalf("status %d at %s after signing in", resp.StatusCode, resp.Request.URL)
	}
	nonce := regexp.MustCompile(`name="nonce" value="([^"]+)"`).FindStringSubmatch(page)[1]
	form := url.Values{"nonce": {nonce}, "name": {"Site"}, "sources": {"handbook"}}
	if resp, _ := b.do(http.MethodPost, "/new", form.Encode(), "Content-Type", "application/x-www-form-urlencoded",
		"Sec-Fetch-Site", "cross-site"); resp.StatusCode != http.StatusForbidden || desk.Store.Len() != 0 {
		t.Fatalf("status %d for another site's form", resp.StatusCode)
	}
	if resp, page = b.submit("/new", form); resp.StatusCode != http.StatusCreated {
		t.Fatalf("status %d:\n%s", resp.StatusCode, page)
	}
	token := regexp.MustCompile(`dgk_[0-9A-Za-z]{36}`).FindString(page)
	key := desk.Store.Lookup(keys.DigestOf(token))
	if key == nil {
		t.Fatal("the token is none that counts")
	}
	entries, err := desk.Registry.Audit(t.Context(), key.ID, 0, 10)
	if err != nil || len(entries) != 1 || entries[0].Actor != "admin token" || entries[0].RemoteAddr != "127.0.0.1" {
		t.Errorf("audit trail: %+v, %v", entries, err)
	}

	program := open(t, Options{Service: desk, Token: keys.NewSecret(adminToken)})
	resp, text := program.do(http.MethodGet, "/v1/keys/"+key.ID, "", "Authorization", "Bearer "+adminToken)
	var told struct{ ID, Name string }
	if err := json.Unmarshal([]byte(text), &told); err != nil || resp.StatusCode != http.StatusOK || told.Name != "Site" {
		t.Errorf("the API: status %d, %s", resp.StatusCode, text)
	}
	if resp, text = program.do(http.MethodGet, "/v1/keys", ""); resp.StatusCode != http.StatusUnauthorized ||
		resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("the API without the token: status %d, %s", resp.StatusCode, text)
	}

	if resp, _ = b.submit("/logout", nil); resp.Request.URL.Path != "/login" {
		t.Errorf("signing out leads to %s", resp.Request.URL)
	}
	if resp, _ = b.do(http.MethodGet, "/", ""); resp.Request.URL.Path != "/login" {
		t.Errorf("after signing out %s is shown", resp.Request.URL)
	}
}

func TestRejectionsArePages(t *testing.T) {
	b := open(t, Options{Service: newService(t), Loopback: true})
	if resp, page := b.do(http.MethodGet, "/", ""); resp.StatusCode != http.StatusOK || !strings.Contains(page, "No keys yet") {
		t.Errorf("status %d on a loopback address", resp.StatusCode)
	}
	resp, page := b.do(http.MethodGet, "/", "", "X-Forwarded-For", "192.0.2.1")
	if resp.StatusCode != http.StatusForbidden || !strings.Contains(page, "Access denied") ||
		!strings.Contains(resp.Header.Get("Content-Security-Policy"), "script-src 'self'") {
		t.Errorf("status %d through a proxy:\n%s", resp.StatusCode, page)
	}
}

func TestUnprotectedConsoleIsRejected(t *testing.T) {
	for name, o := range map[string]Options{
		"nothing protects it": {Service: newService(t)},
		"a token too short":   {Service: newService(t), Token: keys.NewSecret("short")},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := New(o); err == nil {
				t.Error("there is a console")
			}
		})
	}
}
