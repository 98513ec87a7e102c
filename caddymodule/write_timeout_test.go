package caddymodule_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// Caddy's "timeouts { write }" counts from the beginning of the request. It does not end responses that DocsGPT takes longer for:
// before the first byte, between the events of a stream, with HTTP/1.1 and HTTP/2.
func TestServerWriteTimeoutKeepsResponses(t *testing.T) {
	for name, site := range forwardModes {
		for protocol, options := range map[string]string{"HTTP/1.1": "", "HTTP/2": "protocols h1 h2c\n"} {
			t.Run(name+", "+protocol, func(t *testing.T) {
				g := newGate(t)
				g.servers = options + "timeouts {\nwrite 300ms\n}"
				g.start(fmt.Sprintf(site, g.address, ""))
				transport := &http.Transport{Protocols: new(http.Protocols), DialContext: func(context.Context, string, string) (net.Conn, error) {
					return g.dial(), nil
				}}
				transport.Protocols.SetHTTP1(protocol == "HTTP/1.1")
				transport.Protocols.SetUnencryptedHTTP2(protocol == "HTTP/2")
				for _, c := range []struct{ path, question, end string }{
					{"/stream", "[[wait=1]]", `"end"`},
					{"/stream", "[[gap=1]]", `"end"`},
					{"/api/answer", "[[wait=1]]", `"conversation_id"`},
				} {
					body := fmt.Sprintf(`{"question":%q,"history":"[]","api_key":%q}`, c.question, tokenAgent)
					r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.urls[0]+c.path, strings.NewReader(body))
					if err != nil {
						t.Fatal(err)
					}
					r.Header.Set("Content-Type", "application/json")
					resp, err := transport.RoundTrip(r)
					if err != nil {
						t.Errorf("%s %s: %v", c.path, c.question, err)
						continue
					}
					text, err := io.ReadAll(resp.Body)
					if err != nil || resp.Proto[:6] != protocol[:6] || !strings.Contains(string(text), c.end) {
						t.Errorf("%s %s: %s, %v, %s", c.path, c.question, resp.Proto, err, text)
					}
					resp.Body.Close()
				}
			})
		}
	}
}
