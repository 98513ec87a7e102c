package ui

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/console/keyservice"
)

var snippetTitles = regexp.MustCompile(`<h3>([^<]*)</h3>`)

// The page of a new token has sample code only for clients that may use the key.
func TestSnippetsOfPolicies(t *testing.T) {
	for name, c := range map[string]struct {
		fields []string
		want   string
		texts  []string
	}{
		"without a kind": {nil, "Widget, React, curl, DocsGPT API, OpenAI (JavaScript), OpenAI (Python)", nil},
		"secret":         {[]string{"kind", "secret"}, "curl, DocsGPT API, OpenAI (JavaScript), OpenAI (Python)", nil},
		"publishable": {
			[]string{"kind", "publishable", "origins", "https://*.example.com\nhttps://example.org"},
			"Widget, React, curl",
			[]string{"The key works on pages of *.example.com and example.org.", "-H 'Origin: https://www.example.com'"},
		},
		"publishable, any page": {
			[]string{"kind", "publishable", "origins", "*"},
			"Widget, React, curl, DocsGPT API, OpenAI (JavaScript), OpenAI (Python)",
			[]string{"The key works on any page."},
		},
		"only OpenAI": {[]string{"endpoint", "openai"}, "OpenAI (JavaScript), OpenAI (Python)", nil},
		"only MCP":    {[]string{"endpoint", "mcp"}, "", []string{"The key works only at these endpoints: mcp."}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTestServer(t)
			a := w.post("/new", append([]string{"nonce", w.field(w.get("/new").body, "nonce"), "name", "n", "binding", "agent", "agent", "{env.A}"}, c.fields...)...)
			w.want(a, http.StatusCreated, c.texts...)
			var titles []string
			for _, m := range snippetTitles.FindAllStringSubmatch(a.body, -1) {
				titles = append(titles, m[1])
			}
			if got := strings.Join(titles, ", "); got != c.want {
				t.Errorf("snippets: %s, want %s", got, c.want)
			}
		})
	}
}

// A question of the page has the address of the administrator and a page of the key. The page says so, and why the gate rejects it.
func TestTryIt(t *testing.T) {
	var asked keyservice.TestQuestion
	for name, c := range map[string]struct {
		fields []string
		texts  []string
		origin string
		remote bool
	}{
		"without a policy": {nil, []string{"as a widget would, from your address 192.0.2.7."}, "", false},
		"pages": {
			[]string{"kind", "publishable", "origins", "https://*.example.com"},
			[]string{"on a page of https://www.example.com, from your address 192.0.2.7."},
			"https://www.example.com", false,
		},
		"inside of the ranges":  {[]string{"ips", "192.0.2.0/24"}, []string{"from your address 192.0.2.7."}, "", false},
		"outside of the ranges": {[]string{"ips", "10.0.0.0/8"}, []string{"Your address is in none of the address ranges of the key"}, "", false},
		"ranges of a remote gate": {
			[]string{"ips", "192.0.2.0/24"},
			[]string{"from the address of the console's server.", "unless the address of the console's server is in"},
			"", true,
		},
		"no widgets":    {[]string{"endpoint", "openai"}, []string{"may not be used at the endpoints of widgets"}, "", false},
		"not yet valid": {[]string{"not_before", "2099-01-01T00:00"}, []string{"The key is not valid now"}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTestServer(t)
			w.desk.RemoteGate = c.remote
			w.desk.TestQuery = func(_ context.Context, q keyservice.TestQuestion, _ io.Writer) (int, error) {
				asked = q
				return http.StatusOK, nil
			}
			fields := append([]string{"nonce", w.field(w.get("/new").body, "nonce"), "name", "n", "binding", "source", "sources", "handbook"}, c.fields...)
			a := w.post("/new", fields...)
			w.want(a, http.StatusCreated, c.texts...)
			w.want(w.post("/try", "token", tokens.FindString(a.body), "question", "q"), http.StatusOK)
			if asked.Address != "192.0.2.7" || asked.Origin != c.origin {
				t.Errorf("asked from %q on %q", asked.Address, asked.Origin)
			}
		})
	}
}
