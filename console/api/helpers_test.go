package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/keyindex"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/registry/memstorage"
	"github.com/docsgate/docsgate/keys/usage"
)

// fileFeed is another feed, with one key.
type fileFeed struct{}

func (fileFeed) Name() string { return "file:keys.yaml" }

func (fileFeed) Load(context.Context) ([]keys.Key, error) {
	return []keys.Key{{
		ID: "from-file", Name: "From a file", Digest: keys.DigestOf("token-of-the-file"),
		Binding: keys.Binding{Agent: keys.NewSecret("11111111-2222-3333-4444-555555555555")},
	}}, nil
}

func (fileFeed) Watch(ctx context.Context, _ func()) error {
	<-ctx.Done()
	return nil
}

// testServer is an API with a registry in memory, and a store with its keys and those of another feed.
type testServer struct {
	t         testing.TB
	api       *api
	desk      *keyservice.Service
	storage   *memstorage.Storage
	logged    []string
	idSecrets []string // parameters of RotateIDSecret
	responses *schemas // validates the responses
}

func newTestServer(t testing.TB, options ...func(*Options)) *testServer {
	t.Helper()
	w := &testServer{t: t, storage: memstorage.New(), responses: documentSchemas(t)}
	w.open(options...)
	return w
}

// open simulates a restart of the process with the same storage.
func (w *testServer) open(options ...func(*Options)) {
	w.t.Helper()
	meter := usage.NewMeter()
	reg, err := registry.New(registry.Options{
		Storage: w.storage, Usage: meter, Encrypter: registry.NewEncrypter(filepath.Join(w.t.TempDir(), "keys.db.secret")),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	store := keys.NewStore()
	feed := reg.Feed()
	reg.SetRules(registry.Rules{
		CheckSource: func(id string) (string, error) {
			if strings.HasPrefix(id, "bad") {
				return "", errors.New("this is no source id")
			}
			return id, nil
		},
		Resolve: func(string) (string, error) { return "66666666-7777-8888-9999-000000000000", nil },
		AgentOf: func(id string) (keys.Secret, bool) {
			return keys.NewSecret("11111111-2222-3333-4444-555555555555"), !strings.HasPrefix(id, "bad")
		},
		FeedOf: func(id string, d keys.Digest) string {
			for _, k := range []*keys.Key{store.Get(id), store.Lookup(d)} {
				if k != nil && k.Feed != feed.Name() {
					return k.Feed
				}
			}
			return ""
		},
	})
	w.t.Cleanup(reg.ApplyOverrides(store))
	cat := keyindex.New()
	store.Listen(cat)
	syncer := keys.NewSyncer(store, []keys.Feed{feed, fileFeed{}}, nil)
	if err := syncer.LoadAll(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	reg.OnChange(func(ctx context.Context) error { return syncer.Sync(ctx, feed.Name()) })
	w.desk = &keyservice.Service{Registry: reg, Index: cat, Store: store, Usage: meter, Feed: feed.Name(), Agents: []string{"{env.A}", "{env.AGENT}", "{env.DOCSGPT_AGENT_KEY}"}}
	w.desk.RotateIDSecret = func(_ context.Context, _ registry.Actor, delay time.Duration, endPrevious bool) (uint8, error) {
		w.idSecrets = append(w.idSecrets, fmt.Sprint(delay, endPrevious))
		return uint8(len(w.idSecrets)), nil
	}
	o := Options{Service: w.desk, Format: "keys.db", OnError: func(_ *http.Request, err error) {
		w.logged = append(w.logged, err.Error())
	}}
	for _, set := range options {
		set(&o)
	}
	w.api = New(o).(*api)
}

// do sends a request and validates the response against openapi.json.
func (w *testServer) do(r *http.Request) *httptest.ResponseRecorder {
	w.t.Helper()
	rec := httptest.NewRecorder()
	w.api.ServeHTTP(rec, r)
	w.responses.check(w.t, w.api.mux, r, rec)
	if rec.Header().Get("Cache-Control") != "no-store" {
		w.t.Errorf("%s %s: Cache-Control is %q", r.Method, r.URL, rec.Header().Get("Cache-Control"))
	}
	return rec
}

// call sends a body as JSON, if it is not nil, and returns the decoded response. headers are pairs of name and value.
func (w *testServer) call(method, path, body string, headers ...string) response {
	w.t.Helper()
	var content io.Reader = http.NoBody
	if body != "" {
		content = strings.NewReader(body)
	}
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, content)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	rec := w.do(r)
	return response{t: w.t, what: method + " " + path, Status: rec.Code, Header: rec.Header(), Body: rec.Body.String()}
}

// response is a response.
type response struct {
	t      testing.TB
	what   string
	Status int
	Header http.Header
	Body   string
}

// want fails the test immediately if the status differs.
func (r response) want(status int) response {
	r.t.Helper()
	if r.Status != status {
		r.t.Fatalf("%s: status %d, want %d: %s", r.what, r.Status, status, r.Body)
	}
	return r
}

// problem checks that the response is a problem with a code.
func (r response) problem(status int, code string) problem {
	r.t.Helper()
	r.want(status)
	p := decoded[problem](r)
	if p.Code != code || p.Status != status || p.Detail == "" || r.Header.Get("Content-Type") != "application/problem+json" {
		r.t.Errorf("%s: %s %s, want the problem %s", r.what, r.Header.Get("Content-Type"), r.Body, code)
	}
	return p
}

func decoded[T any](r response) (v T) {
	r.t.Helper()
	if err := json.Unmarshal([]byte(r.Body), &v); err != nil {
		r.t.Fatalf("%s: %v in %s", r.what, err, r.Body)
	}
	return v
}

func (r response) key() Key { r.t.Helper(); return decoded[Key](r) }

// decision returns the current decision of the gate on a token.
func (w *testServer) decision(token string) keys.Reason {
	w.t.Helper()
	verifier, err := keys.NewVerifier(w.desk.Store, keys.CacheConfig{})
	if err != nil {
		w.t.Fatal(err)
	}
	defer verifier.Close()
	return verifier.Verify(token, time.Now()).Reason
}

const newKey = `{"name":"Docs site widget","sources":["7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10"]}`

func (w *testServer) makeKey() Key {
	w.t.Helper()
	return w.call("POST", "/v1/keys", newKey).want(http.StatusCreated).key()
}
