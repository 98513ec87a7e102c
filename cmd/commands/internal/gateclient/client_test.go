package gateclient

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/cmdtest"
	"github.com/docsgate/docsgate/console/api"
)

// serve returns a client of a loopback server with a handler. Both are closed at the end of the test.
func serve(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	c, err := Dial(t.Context(), cmdtest.Serve(t, h))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
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
				g := serve(t, func(w http.ResponseWriter, r *http.Request) {
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
				var k api.Key
				err := g.Call(t.Context(), c.method, "/v1/keys", map[string]string{"name": "x"}, c.idempotent, &k)
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
					t.Errorf("%+v %v", k, err)
				case !c.good && cli.Status(err) != cli.ExitUnreachable:
					t.Errorf("status %d: %v", cli.Status(err), err)
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
		{"no such key", 404, problemJSON, `{"code":"key_not_found","detail":"There is no key with this ID."}`, cli.ExitNotFound, "no key with this ID", ""},
		{"no such path", 404, problemJSON, `{"code":"not_found","detail":"x"}`, cli.ExitUnreachable, "another version", ""},
		{"not docsgate", 404, "text/plain", "404 page not found", cli.ExitUnreachable, "no key store", ""},
		{"no store", 501, "application/json", `{"error":"x"}`, cli.ExitUnreachable, `"feed store"`, ""},
		{"another origin", 403, "application/json", `{"error":"x"}`, cli.ExitUnreachable, "origins", ""},
		{"conflict", 409, problemJSON, `{"code":"revoked","detail":"The key is revoked."}`, cli.ExitRejected, "revoked", ""},
		{
			"one field error", 422, problemJSON, `{"detail":"d","errors":[{"field":"expires","message":"is over"}]}`, cli.ExitRejected,
			"expires: is over", "several",
		},
		{
			"two field errors", 422, problemJSON, `{"detail":"d","errors":[{"field":"a","message":"b"},{"pointer":"/c/1/d","message":"e"}]}`,
			cli.ExitRejected, "several values are not valid:\n  a: b\n  /c/1/d: e", "",
		},
		{"a hostile text", 409, problemJSON, `{"detail":"a\u001b[2Jb"}`, cli.ExitRejected, "a<U+001B>[2Jb", "\x1b"},
		{"an internal error", 500, problemJSON, `{"detail":"Something went wrong."}`, cli.ExitFailed, "went wrong", ""},
		{"not ready", 503, problemJSON, `{"detail":"Not ready."}`, cli.ExitUnreachable, "Not ready", ""},
		{"starting", 503, "application/json", `{"error":"the gate is still starting: try again"}`, cli.ExitUnreachable, "starting: try again", "not a response"},
		{"a server in front", 503, "text/html", "<html>", cli.ExitUnreachable, "not a response of docsgate", ""},
		{"a redirect", 307, "text/html", "", cli.ExitUnreachable, "status 307", ""},
		{"a page", 200, "text/html", "<html>", cli.ExitUnreachable, "cannot decode the response", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.kind)
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(c.status)
				_, _ = io.WriteString(w, c.body)
			})
			var k api.Key
			err := g.Call(t.Context(), http.MethodGet, "/v1/keys/x", nil, "", &k)
			if cli.Status(err) != c.exit || err == nil || !strings.Contains(err.Error(), c.says) ||
				c.never != "" && strings.Contains(err.Error(), c.never) {
				t.Errorf("status %d: %v", cli.Status(err), err)
			}
		})
	}
}

// Requests over the admin endpoint have the Host and Origin of Caddy's own commands, and the name of the actor.
func TestAdminRequests(t *testing.T) {
	var header http.Header
	var host string
	g := serve(t, func(w http.ResponseWriter, r *http.Request) {
		header, host = r.Header, r.Host
		_, _ = io.WriteString(w, `{}`)
	})
	if err := g.Call(t.Context(), http.MethodGet, "/v1/keys", nil, "", new(api.Key)); err != nil {
		t.Fatal(err)
	}
	if header.Get("Origin") != "http://"+host || header.Get("Docsgate-Actor") != osUser() {
		t.Errorf("host %s, %v", host, header)
	}
}
