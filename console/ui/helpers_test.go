package ui

import (
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/console/ui/internal/fixtures"
	"github.com/docsgate/docsgate/keys/registry"
)

var start = time.Date(2026, 11, 23, 14, 30, 0, 0, time.UTC)

// testServer is a Page with keys in memory.
type testServer struct {
	*testing.T
	desk   *fixtures.Fixture
	page   *Page
	faults []error
}

// newTestServer returns a Page that has only the keys of the other feed.
func newTestServer(t *testing.T, change ...func(*Options)) *testServer {
	t.Helper()
	desk, err := fixtures.New(t.Context(), t.TempDir(), start, fixtures.FileKeys(start))
	if err != nil {
		t.Fatal(err)
	}
	desk.Agents = []string{"{env.A}", "{env.BOT_KEY}"}
	w := &testServer{T: t, desk: desk}
	o := Options{
		Service: &desk.Service,
		Actor:   func(*http.Request) registry.Actor { return fixtures.TestActor },
		User:    func(*http.Request) string { return "alice" },
		Feeds:   func() []string { return []string{desk.Feed, fixtures.ReadOnlyFeed{}.Name()} },
		OnError: func(_ *http.Request, err error) { w.faults = append(w.faults, err) },
	}
	for _, f := range change {
		f(&o)
	}
	w.page = New(o)
	return w
}

// in returns the same server for a subtest.
func (w *testServer) in(t *testing.T) *testServer {
	return &testServer{T: t, desk: w.desk, page: w.page}
}

// response is a response with its text.
type response struct {
	*httptest.ResponseRecorder
	body string
}

func (w *testServer) do(r *http.Request) response {
	rec := httptest.NewRecorder()
	w.page.ServeHTTP(rec, r)
	return response{rec, rec.Body.String()}
}

func (w *testServer) get(path string) response {
	return w.do(httptest.NewRequest(http.MethodGet, path, nil))
}

// post sends a form. pairs are names and values of fields. In the form for a new key, the script has warned about unknown sources.
func (w *testServer) post(path string, pairs ...string) response {
	form := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		form.Add(pairs[i], pairs[i+1])
	}
	if path == "/new" && !form.Has("unknown_sources") {
		form.Set("unknown_sources", form.Get("sources"))
	}
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return w.do(r)
}

// want checks the status, and that the visible text contains texts.
func (w *testServer) want(a response, status int, texts ...string) {
	w.Helper()
	if a.Code != status {
		w.Fatalf("status %d, want %d:\n%s", a.Code, status, a.body)
	}
	seen := text(a.body)
	for _, one := range texts {
		if !strings.Contains(seen, one) {
			w.Errorf("the page does not say %q:\n%s", one, seen)
		}
	}
}

var (
	tags   = regexp.MustCompile(`<[^>]*>`)
	blanks = regexp.MustCompile(`\s+`)
	tokens = regexp.MustCompile(`dg[kps]_[0-9A-Za-z]{36}`)
)

// text returns the visible text of a page.
func text(page string) string {
	return blanks.ReplaceAllString(html.UnescapeString(tags.ReplaceAllString(page, "")), " ")
}

// field returns the value of an input by its name.
func (w *testServer) field(page, name string) string {
	w.Helper()
	m := regexp.MustCompile(`<input[^>]* name="` + name + `" value="([^"]*)"`).FindStringSubmatch(page)
	if m == nil {
		w.Fatalf("there is no field %s:\n%s", name, page)
	}
	return html.UnescapeString(m[1])
}

// make creates a key with the form and returns its ID and token.
func (w *testServer) make(pairs ...string) (id, token string) {
	w.Helper()
	a := w.post("/new", append([]string{"nonce", w.field(w.get("/new").body, "nonce")}, pairs...)...)
	w.want(a, http.StatusCreated)
	token = tokens.FindString(a.body)
	id = regexp.MustCompile(`/keys/(key_[0-9a-z]{26})`).FindStringSubmatch(a.body)[1]
	return id, token
}

func (w *testServer) makeUsual() (id, token string) {
	w.Helper()
	return w.make("name", "Docs site", "binding", "source", "sources", "handbook", "lifetime", "never")
}

// count returns the number of issued keys.
func (w *testServer) count() int {
	n := 0
	for _, k := range w.desk.Store.Counts(w.desk.Clock.At) {
		n += k
	}
	return n - 2 // those of the other feed
}

func mustURL(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	return u
}
