package caddymodule_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/docsgate/docsgate/caddymodule"
)

// failingHandler is a next handler that fails in the way of its argument.
type failingHandler struct {
	How string `json:"how,omitempty"`
}

func (failingHandler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_breaking", New: func() caddy.Module { return new(failingHandler) }}
}

func (b failingHandler) ServeHTTP(w http.ResponseWriter, _ *http.Request, _ caddyhttp.Handler) error {
	switch b.How {
	case "panic":
		panic("a bug")
	case "abort":
		panic(http.ErrAbortHandler)
	case "late":
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = w.Write([]byte("data: {\"type\": \"answer\", \"answer\": \"begun\"}\n\n"))
		panic("a bug")
	case "error":
		return caddyhttp.Error(http.StatusBadGateway, errors.New("broken"))
	default:
		return nil
	}
}

func (b *failingHandler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.AllArgs(&b.How) {
		return d.ArgErr()
	}
	return nil
}

func init() {
	caddy.RegisterModule(failingHandler{})
	httpcaddyfile.RegisterHandlerDirective("test_breaking", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		b := new(failingHandler)
		return b, b.UnmarshalCaddyfile(h.Dispenser)
	})
	httpcaddyfile.RegisterDirectiveOrder("test_breaking", httpcaddyfile.After, "reverse_proxy")
}

// If a next handler fails, nothing remains in flight, and no stream remains open.
func TestInFlightHandlerPanic(t *testing.T) {
	for _, how := range []string{"panic", "abort", "late", "error", "nothing"} {
		t.Run(how, func(t *testing.T) {
			g := newGate(t)
			g.start("docsgate {\nmax_in_flight 1\n}\ntest_breaking " + how + "\n")
			for _, path := range []string{"/stream", "/api/answer", "/api/search"} {
				token := tokenAgent
				if path == "/api/search" {
					token = tokenMany
				}
				body := fmt.Sprintf(`{"question":"q","api_key":%q}`, token)
				for range 3 {
					r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.urls[0]+path, strings.NewReader(body))
					if err != nil {
						t.Fatal(err)
					}
					r.Header.Set("Content-Type", "application/json")
					if resp, err := http.DefaultTransport.RoundTrip(r); err == nil {
						_, _ = io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
						if resp.StatusCode == http.StatusTooManyRequests {
							t.Fatalf("%s: status %d", path, resp.StatusCode)
						}
					}
					waitFor(t, "nothing is in flight", func() bool { return len(caddymodule.InFlight("")) == 0 })
				}
			}
			if n := g.metric("caddy_docsgate_streams_in_flight "); n != "0" {
				t.Errorf("open streams: %s", n)
			}
		})
	}
}
