package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// served returns a client of a loopback server with a handler. Both are closed at the end of the test.
func served(t *testing.T, h http.HandlerFunc) *client {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	server := httptest.NewServer(h)
	g, err := dial(t.Context(), strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = g.close()
		server.Close()
	})
	return g
}

func statusOf(err error) int {
	if err == nil {
		return 0
	}
	if f := (*exitError)(nil); errors.As(err, &f) {
		return f.status
	}
	return exitFailed
}

// An idempotent request is retried once, unchanged, if the connection fails. Other requests are not retried.
func TestConnectionErrors(t *testing.T) {
	for _, c := range []struct {
		name, method, idempotent string
		breaks, requests         int
		good                     bool
	}{
		{"the retry succeeds", http.MethodPost, "k1", 1, 2, true},
		{"GET is retried", http.MethodGet, "", 1, 2, true},
		{"no second retry", http.MethodPost, "k1", 9, 2, false},
		{"not idempotent", http.MethodPost, "", 1, 1, false},
	} {
		for _, half := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, with half an answer %t", c.name, half), func(t *testing.T) {
				var mu sync.Mutex // guards seen
				var seen []string
				g := served(t, func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					mu.Lock()
					defer mu.Unlock()
					seen = append(seen, r.Method+" "+r.URL.String()+" "+r.Header.Get("Idempotency-Key")+" "+string(body))
					if len(seen) <= c.breaks {
						if half {
							w.Header().Set("Content-Length", "100")
							_, _ = io.WriteString(w, `{"id":`)
						}
						panic(http.ErrAbortHandler)
					}
					_, _ = io.WriteString(w, `{"id":"key_1","token":"t"}`)
				})
				var k keyResponse
				err := g.call(t.Context(), c.method, "/v1/keys", map[string]string{"name": "x"}, c.idempotent, &k)
				mu.Lock()
				defer mu.Unlock()
				if len(seen) != c.requests {
					t.Errorf("%d requests", len(seen))
				}
				for _, s := range seen {
					if s != seen[0] || !strings.HasPrefix(s, c.method+" /docsgate/v1/keys "+c.idempotent) {
						t.Errorf("%q after %q", s, seen[0])
					}
				}
				switch {
				case c.good && (err != nil || k.ID != "key_1"):
					t.Errorf("%+v %v", k.keyView, err)
				case !c.good && statusOf(err) != exitUnreachable:
					t.Errorf("status %d: %v", statusOf(err), err)
				}
			})
		}
	}
}

func TestErrorResponses(t *testing.T) {
	const problemJSON = "application/problem+json"
	for _, c := range []struct {
		name        string
		status      int
		kind, body  string
		exit        int
		says, never string
	}{
		{"no such key", 404, problemJSON, `{"code":"key_not_found","detail":"There is no such key."}`, exitNotFound, "no such key", ""},
		{"no such path", 404, problemJSON, `{"code":"not_found","detail":"x"}`, exitUnreachable, "another version", ""},
		{"not docsgate", 404, "text/plain", "404 page not found", exitUnreachable, "no key store", ""},
		{"no store", 501, "application/json", `{"error":"x"}`, exitUnreachable, `"feed store"`, ""},
		{"another origin", 403, "application/json", `{"error":"x"}`, exitUnreachable, "origins", ""},
		{"conflict", 409, problemJSON, `{"code":"revoked","detail":"The key is revoked."}`, exitRejected, "revoked", ""},
		{
			"one field error", 422, problemJSON, `{"detail":"d","errors":[{"field":"expires","message":"is over"}]}`, exitRejected,
			"expires: is over", "several",
		},
		{
			"two field errors", 422, problemJSON, `{"detail":"d","errors":[{"field":"a","message":"b"},{"pointer":"/c/1/d","message":"e"}]}`,
			exitRejected, "several values are not valid:\n  a: b\n  /c/1/d: e", "",
		},
		{"a hostile text", 409, problemJSON, `{"detail":"a\u001b[2Jb"}`, exitRejected, "a<U+001B>[2Jb", "\x1b"},
		{"an internal error", 500, problemJSON, `{"detail":"Something went wrong."}`, exitFailed, "went wrong", ""},
		{"not ready", 503, problemJSON, `{"detail":"Not ready."}`, exitUnreachable, "Not ready", ""},
		{"a redirect", 307, "text/html", "", exitUnreachable, "status 307", ""},
		{"a page", 200, "text/html", "<html>", exitUnreachable, "cannot decode the response", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := served(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.kind)
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			})
			var k keyResponse
			err := g.call(t.Context(), http.MethodGet, keyPath("x"), nil, "", &k)
			if statusOf(err) != c.exit || err == nil || !strings.Contains(err.Error(), c.says) ||
				c.never != "" && strings.Contains(err.Error(), c.never) {
				t.Errorf("status %d: %v", statusOf(err), err)
			}
		})
	}
}

// Requests over the admin endpoint have the Host and Origin of Caddy's own commands, and the name of the actor.
func TestAdminRequests(t *testing.T) {
	var header http.Header
	var host string
	g := served(t, func(w http.ResponseWriter, r *http.Request) {
		header, host = r.Header, r.Host
		_, _ = io.WriteString(w, `{}`)
	})
	if err := g.call(t.Context(), http.MethodGet, "/v1/keys", nil, "", new(keyPage)); err != nil {
		t.Fatal(err)
	}
	if header.Get("Origin") != "http://"+host || header.Get("Docsgate-Actor") != osUser() {
		t.Errorf("host %s, %v", host, header)
	}
}

// The in-process transport behaves like a network: responses are streamed, and a truncated response is an error.
func TestHandlerTransport(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	streamed := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Was", r.Header.Get("X-Is"))
		w.WriteHeader(http.StatusAccepted)
		_, _ = io.Copy(w, r.Body)
	})
	mux.HandleFunc("GET /stream", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "begin,")
		<-streamed
		_, _ = io.WriteString(w, "end")
	})
	mux.HandleFunc("GET /half", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("boom") })
	mux.HandleFunc("GET /nothing", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /endless", func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := io.WriteString(w, "more"); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("GET /silent", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	local := &handlerTransport{handler: mux}
	client := &http.Client{Transport: local}
	request := func(ctx context.Context, method, path, body string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Is", "x")
		return client.Do(req)
	}

	for _, c := range []struct {
		method, path, body, want string
		status                   int
		broken                   bool
	}{
		{"POST", "/echo", "text", "text", 202, false},
		{"GET", "/half", "", "half", 200, true},
		{"GET", "/panic", "", "", 500, true},
		{"GET", "/nothing", "", "", 200, false},
		{"GET", "/missing", "", "404 page not found\n", 404, false},
	} {
		resp, err := request(t.Context(), c.method, c.path, c.body)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != c.status || string(body) != c.want || (err != nil) != c.broken {
			t.Errorf("%s: %d %q %v", c.path, resp.StatusCode, body, err)
		}
		if c.path == "/echo" && resp.Header.Get("X-Was") != "x" {
			t.Error("the header is lost")
		}
	}

	resp, err := request(t.Context(), "GET", "/stream", "")
	if err != nil {
		t.Fatal(err)
	}
	begin := make([]byte, len("begin,"))
	if _, err := io.ReadFull(resp.Body, begin); err != nil || string(begin) != "begin," {
		t.Errorf("%q %v", begin, err)
	}
	close(streamed)
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "end" {
		t.Errorf("%q %v", rest, err)
	}
	_ = resp.Body.Close()

	// Closing the body ends the handler.
	if resp, err = request(t.Context(), "GET", "/endless", ""); err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if resp, err := request(ctx, "GET", "/silent", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("%v %v", resp, err)
	}
	local.running.Wait()
}
