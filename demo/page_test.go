package demo

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/internal/docsgpttest"
)

const (
	gate     = "http://127.0.0.1:8080"
	origin   = "http://127.0.0.1:8081"
	token    = "dgp_shown-on-the-page"
	agentKey = "11111111-2222-3333-4444-555555555555"
	source   = "6f1c2a7e-2d0b-4b1e-9a53-1f6f2f0d8c11"
)

func testPage(b *docsgpttest.Backend) Page {
	return Page{
		GateURL: gate, Upstream: "http://127.0.0.1:7091", Token: token, Binding: `the source "handbook"`,
		Origin: origin, OtherOrigin: "http://localhost:8081", Limit: "20/1m",
		Commands:        []Command{{Title: "Ask", Shows: "An <answer>.", Text: "curl " + gate + `/stream -d '{"a":"b"}'`}},
		CrossSourceBody: `{"question":"</script><script>alert(1)"}`,
		Backend:         b,
		Secrets:         map[string]string{agentKey: "(hidden)"},
	}
}

func get(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
	return w
}

func newHandler(t *testing.T, p Page) http.Handler {
	t.Helper()
	h, err := Handler(p)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestPageContent(t *testing.T) {
	w := get(t, newHandler(t, testPage(docsgpttest.New(docsgpttest.Options{}))), "/")
	page := w.Body.String()
	for _, want := range []string{
		"<code>" + token + "</code>", "<code>" + gate + "</code>", "the source &#34;handbook&#34;", "An &lt;answer&gt;.",
		`curl http://127.0.0.1:8080/stream -d &#39;{&#34;a&#34;:&#34;b&#34;}&#39;`, "/assets/docsgpt-0.5.1/browser.js", "The last request",
		"<code>" + origin + "</code>", "<code>20/1m</code>", `<a href="http://localhost:8081">`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	raw := regexp.MustCompile(`(?s)<script type="application/json" id="config">(.*?)</script>`).FindStringSubmatch(page)
	if raw == nil {
		t.Fatal("no config on the page")
	}
	var config map[string]any
	if err := json.Unmarshal([]byte(raw[1]), &config); err != nil {
		t.Fatalf("config %s: %v", raw[1], err)
	}
	if config["gate"] != gate || config["token"] != token || config["last"] != true || config["origin"] != origin ||
		config["crossSourceBody"] != `{"question":"</script><script>alert(1)"}` {
		t.Errorf("config %v", config)
	}
}

func TestPageWithoutBackend(t *testing.T) {
	h := newHandler(t, testPage(nil))
	if page := get(t, h, "/").Body.String(); strings.Contains(page, "The last request") {
		t.Error("the page has a section for the last request")
	}
	if w := get(t, h, "/last"); w.Code != http.StatusNotFound {
		t.Errorf("/last: %d", w.Code)
	}
}

// The page must not load anything from another host: it works offline, and it does not disclose its visitors.
func TestPageLoadsNothingExternal(t *testing.T) {
	p := testPage(nil)
	p.OtherOrigin = "" // a link, which the page does not load
	h := newHandler(t, p)
	w := get(t, h, "/")
	policy := w.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none';", "script-src 'self';", "img-src 'self' data:;", "connect-src 'self' " + gate + ";"} {
		if !strings.Contains(policy, want) {
			t.Errorf("the policy %q lacks %q", policy, want)
		}
	}
	if w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Error("no nosniff")
	}
	external := regexp.MustCompile(`(?:src|href)="(?:https?:)?//|url\(\s*['"]?(?:https?:)?//|@import`)
	for _, name := range []string{"page.html", "page.css", "page.js", "stub_globals.js"} {
		text, err := fs.ReadFile(assets, "assets/"+name)
		if err != nil {
			t.Fatal(err)
		}
		if found := external.Find(text); found != nil {
			t.Errorf("%s has %s", name, found)
		}
	}
	for _, found := range regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(w.Body.String(), -1) {
		if file := get(t, h, found[1]); file.Code != http.StatusOK {
			t.Errorf("%s: %d", found[1], file.Code)
		}
	}
}

func TestWidgetChecksum(t *testing.T) {
	bundle, err := fs.ReadFile(assets, "assets/"+widgetBundle)
	if err != nil {
		t.Fatal(err)
	}
	readme, err := fs.ReadFile(assets, "assets/docsgpt-0.5.1/README.md")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(bundle)
	if !strings.Contains(string(readme), hex.EncodeToString(sum[:])) {
		t.Errorf("%s has the checksum %x, which is not in its README", widgetBundle, sum)
	}
}

func TestLastRequestHidesSecrets(t *testing.T) {
	b := docsgpttest.New(docsgpttest.Options{Keys: map[string][]string{agentKey: {source}}, Sources: map[string]string{source: "handbook"}})
	h := newHandler(t, testPage(b))
	last := func() string {
		t.Helper()
		var response struct{ Request string }
		if err := json.Unmarshal(get(t, h, "/last").Body.Bytes(), &response); err != nil {
			t.Fatal(err)
		}
		return response.Request
	}
	if got := last(); got != "" {
		t.Errorf("before any request: %q", got)
	}
	r := httptest.NewRequest("POST", "/stream", strings.NewReader(`{"question":"q","api_key":"`+agentKey+`"}`))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+agentKey)
	b.ServeHTTP(httptest.NewRecorder(), r)
	b.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/api/health", nil))
	want := "POST /stream\nAuthorization: Bearer (hidden)\nContent-Type: application/json\n\n" +
		"{\n  \"question\": \"q\",\n  \"api_key\": \"(hidden)\"\n}"
	if got := last(); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
