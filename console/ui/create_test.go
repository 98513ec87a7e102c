package ui

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/keyindex"
)

func catalogAll(w *testServer) keyindex.Query {
	return keyindex.Query{Now: w.desk.Clock.At, Limit: 1000}
}

func TestTokenIsShownOnce(t *testing.T) {
	w := newTestServer(t)
	nonce := w.field(w.get("/new").body, "nonce")
	form := []string{"nonce", nonce, "name", "Docs site", "binding", "source", "source", "66a1f0c2d4b5e6f708192a3b", "lifetime", "90d"}
	a := w.post("/new", form...)
	w.want(a, http.StatusCreated, "Docs site", "It is shown only once", "renderDocsGPTWidget", "https://ask.example.com/stream")
	token := tokens.FindString(a.body)
	if !keys.HasValidChecksum(token) || w.desk.Store.Lookup(keys.DigestOf(token)) == nil {
		t.Fatal("the token on the page is not valid")
	}
	if a.Header().Get("Cache-Control") != "no-store" {
		t.Error("the page with the token may be stored")
	}
	for name, values := range a.Header() {
		if strings.Contains(strings.Join(values, " "), token) {
			t.Errorf("the token is in the header %s", name)
		}
	}
	if title := a.body[:strings.Index(a.body, "</head>")]; strings.Contains(title, token) {
		t.Error("the token is in the head of the page")
	}

	again := w.post("/new", form...)
	w.want(again, http.StatusConflict, "This key was already created")
	id := w.desk.Store.Lookup(keys.DigestOf(token)).ID
	if w.count() != 1 || !strings.Contains(again.body, `href="/keys/`+id+`"`) {
		t.Errorf("%d keys after a reload", w.count())
	}
	for _, path := range []string{"/", "/?q=" + token[len(token)-4:], "/keys/" + id, "/keys/" + id + "/rotate", "/keys/" + id + "/revoke", "/audit", "/new"} {
		if strings.Contains(w.get(path).body, token) {
			t.Errorf("the token is in %s", path)
		}
	}
	if strings.Contains(again.body, token) {
		t.Error("the token was shown again")
	}
	if !w.desk.Store.Get(id).Expires.Equal(start.Add(90 * 24 * time.Hour)) {
		t.Errorf("it expires at %v", w.desk.Store.Get(id).Expires)
	}
}

// Without its script, the form would leave the only page with the token.
func TestTokenPageWithoutScript(t *testing.T) {
	w := newTestServer(t)
	w.desk.Service.TestQuery = func(context.Context, keyservice.TestQuestion, io.Writer) (int, error) { return http.StatusOK, nil }
	a := w.post("/new", "nonce", w.field(w.get("/new").body, "nonce"), "name", "Docs site", "binding", "source",
		"source", "66a1f0c2d4b5e6f708192a3b", "lifetime", "never")
	w.want(a, http.StatusCreated)
	for _, hidden := range []string{`aria-labelledby="try-title" hidden>`, `data-copy="token" hidden>`} {
		if !strings.Contains(a.body, hidden) {
			t.Errorf("shown before its script is there: %s", hidden)
		}
	}
}

func TestSnippetsMatchBinding(t *testing.T) {
	w := newTestServer(t, func(o *Options) { o.Service.GateURL = "" })
	a := w.post("/new", "nonce", w.field(w.get("/new").body, "nonce"), "name", "Agent", "binding", "agent", "agent", "{env.A}")
	w.want(a, http.StatusCreated, "import OpenAI", "from openai import", "The public URL of the gate is not configured.")
	a = w.post("/new", "nonce", w.field(w.get("/new").body, "nonce"), "name", "Source", "sources", "handbook")
	w.want(a, http.StatusCreated)
	if strings.Contains(a.body, "import OpenAI") {
		t.Error("OpenAI's clients are offered for a key that they cannot use")
	}
}

func TestCreateFieldErrors(t *testing.T) {
	for name, tc := range map[string]struct {
		form  []string
		field string
		says  string
	}{
		"no name":                {[]string{"name", "  ", "sources", "a"}, "name", "Enter a name"},
		"a long name":            {[]string{"name", strings.Repeat("x", 201), "sources", "a"}, "name", "200"},
		"no source":              {[]string{"name", "x"}, "sources", "Choose at least one source."},
		"a source that can't be": {[]string{"name", "x", "sources", strings.Repeat("s", 10_000)}, "sources", "256"},
		"no agent":               {[]string{"name", "x", "binding", "agent"}, "agent", "Choose an agent"},
		"two agents":             {[]string{"name", "x", "binding", "agent", "agent", "{env.A}", "agent_key", "k"}, "agent", "not both"},
		"an end in the past":     {[]string{"name", "x", "sources", "a", "lifetime", "own", "expires", "2020-01-01T00:00"}, "expires", "in the past"},
		"an end that is no time": {[]string{"name", "x", "sources", "a", "lifetime", "own", "expires", "soon"}, "expires", "in UTC"},
		"an end without its day": {[]string{"name", "x", "sources", "a", "lifetime", "own"}, "expires", "Enter the date"},
		"a day without its choice": {
			[]string{"name", "x", "sources", "a", "lifetime", "never", "expires", "2030-01-01T00:00"}, "expires", "On a date",
		},
		"a beginning that is none": {[]string{"name", "x", "sources", "a", "not_before", "soon"}, "not_before", "in UTC"},
		"an end before the beginning": {
			[]string{"name", "x", "sources", "a", "not_before", "2031-01-01T00:00", "lifetime", "own", "expires", "2030-01-01T00:00"}, "", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTestServer(t)
			a := w.post("/new", append([]string{"nonce", w.field(w.get("/new").body, "nonce")}, tc.form...)...)
			w.want(a, http.StatusUnprocessableEntity, "The key was not created", tc.says)
			if tc.field != "" && !strings.Contains(a.body, `id="`+tc.field+`-error"`) {
				t.Errorf("the message is not next to the field %s", tc.field)
			}
			if w.count() != 0 {
				t.Error("a key was made")
			}
			for i := 0; i < len(tc.form); i += 2 {
				value := tc.form[i+1]
				if kept := strings.Contains(a.body, value); kept == (tc.form[i] == "agent_key") && value != "  " && value != "k" {
					t.Errorf("the value of %s is kept: %t", tc.form[i], kept)
				}
			}
		})
	}
}

func TestPastedKeyIsNeverSentBack(t *testing.T) {
	w := newTestServer(t)
	const secret = "6f9619ff-8b86-4011-b42d-00c04fc964ff"
	form := []string{"name", "", "binding", "agent", "agent_key", secret}
	a := w.post("/new", append([]string{"nonce", w.field(w.get("/new").body, "nonce")}, form...)...)
	w.want(a, http.StatusUnprocessableEntity)
	form[1] = "Pasted"
	b := w.post("/new", append([]string{"nonce", w.field(a.body, "nonce")}, form...)...)
	w.want(b, http.StatusCreated, "pasted, stored encrypted")
	for _, page := range []string{a.body, b.body, w.get("/").body, w.get("/audit").body} {
		if strings.Contains(page, secret) {
			t.Error("the pasted key is in a page")
		}
	}
}

func TestFormNonces(t *testing.T) {
	w := newTestServer(t)
	good := w.field(w.get("/new").body, "nonce")
	id, _ := w.makeUsual()
	for name, nonce := range map[string]string{
		"none":              "",
		"one made up":       strings.Repeat("A", len(good)),
		"one changed":       string(good[0]^1) + good[1:],
		"of another form":   w.page.FormNonces.issue(rotatePurpose(id)),
		"of another page":   newTestServer(t).page.FormNonces.issue(createPurpose),
		"one with an addon": good + "A",
	} {
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			a := w.post("/new", "nonce", nonce, "name", "Kept & shown", "sources", "handbook")
			w.want(a, http.StatusConflict, "This form has expired, so no key was created.")
			if w.count() != 1 || !strings.Contains(a.body, `value="Kept &amp; shown"`) {
				t.Errorf("%d keys, or the form is empty", w.count())
			}
			w.want(w.post("/new", "nonce", w.field(a.body, "nonce"), "name", "", "sources", "x"), http.StatusUnprocessableEntity)
		})
	}
	w.desk.Clock.At = start.Add(nonceTTL + time.Minute)
	w.want(w.post("/new", "nonce", good, "name", "Late", "sources", "x"), http.StatusConflict, "has expired")
}

func TestConcurrentSubmissionsCreateOneKey(t *testing.T) {
	w := newTestServer(t)
	nonce := w.field(w.get("/new").body, "nonce")
	var all sync.WaitGroup
	codes := make([]int, 16)
	for i := range codes {
		all.Go(func() { codes[i] = w.post("/new", "nonce", nonce, "name", "Once", "sources", "x").Code })
	}
	all.Wait()
	made := 0
	for _, code := range codes {
		if code == http.StatusCreated {
			made++
		} else if code != http.StatusConflict {
			t.Errorf("status %d", code)
		}
	}
	if made != 1 || w.count() != 1 {
		t.Errorf("%d pages with a token, %d keys", made, w.count())
	}
}

func TestStoreErrors(t *testing.T) {
	w := newTestServer(t)
	nonce := w.field(w.get("/new").body, "nonce")
	w.desk.Storage.Fail(errors.New("no space left on the disk"))
	w.want(w.post("/new", "nonce", nonce, "name", "x", "sources", "y"), http.StatusInternalServerError, "no space left on the disk")
	if len(w.faults) != 1 {
		t.Errorf("heard of faults: %v", w.faults)
	}
	w.desk.Storage.Fail(nil)
	w.want(w.post("/new", "nonce", nonce, "name", "x", "sources", "y"), http.StatusCreated)
}

func TestTokenShownWhenApplyPending(t *testing.T) {
	w := newTestServer(t)
	stop := w.desk.Registry.OnChange(func(context.Context) error { return errors.New("the feed is stuck") })
	defer stop()
	nonce := w.field(w.get("/new").body, "nonce")
	a := w.post("/new", "nonce", nonce, "name", "x", "sources", "y")
	w.want(a, http.StatusCreated, "could not apply it yet")
	if tokens.FindString(a.body) == "" || len(w.faults) != 1 {
		t.Errorf("no token, or no word of it: %v", w.faults)
	}
	w.want(w.post("/new", "nonce", nonce, "name", "x", "sources", "y"), http.StatusConflict, "already created")
}

func TestSourceOptions(t *testing.T) {
	asked := 0
	fail := errors.New("no answer")
	w := newTestServer(t, func(o *Options) {
		o.Service.Sources = func(context.Context) ([]keyservice.Source, error) {
			asked++
			return []keyservice.Source{{ID: "a1", Name: "Handbook"}, {ID: "a2"}}, fail
		}
	})
	w.want(w.get("/new"), http.StatusOK, "could not be loaded from DocsGPT. Enter source IDs instead.", "Source IDs, one per line")
	w.want(w.get("/new"), http.StatusOK, "could not be loaded from DocsGPT. Enter source IDs instead.")
	if asked != 1 {
		t.Errorf("asked %d times, want once for a while", asked)
	}
	fail = nil
	w.desk.Clock.At = start.Add(sourcesRetry)
	w.want(w.get("/new?source=a2&source=gone"), http.StatusOK, "Handbook", "a2", "gone")
	w.get("/new")
	if asked != 2 {
		t.Errorf("asked %d times, want twice", asked)
	}
	id, _ := w.make("name", "Two", "source", "a1", "source", "a2", "sources", "a1\n\n b3 ")
	if got := strings.Join(w.desk.Store.Get(id).Binding.Sources, " "); got != "a1 a2 b3" {
		t.Errorf("bound to %q", got)
	}
	w.want(w.get("/"), http.StatusOK, "Handbook", "and 2 more")
}
