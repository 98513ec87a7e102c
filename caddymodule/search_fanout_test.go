package caddymodule_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

const passageOf = `{"text":"`

// A key that is bound to sources can search only those, although /api/search does not accept the credential of an account.
func TestSearchWithSources(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
		r := g.send(http.MethodPost, "/api/search", `{"question":"reset","api_key":"`+tokenSource+`","chunks":0,`+
			`"retrieval":{"chunks":500},"query":"other","active_docs":"`+sourceBeta+`"}`,
			"Authorization", "Bearer "+agentBeta, "Cookie", "a=b", "X-Session-ID", "s", "Origin", "https://docs.example.com")
		if r.status != http.StatusOK || !strings.HasPrefix(r.body, "[{") || strings.Count(r.body, passageOf) != 1 ||
			!strings.Contains(r.body, "alpha") || strings.Contains(r.body, "beta") {
			t.Fatalf("%d %s", r.status, r.body)
		}
		if r.header.Get("Access-Control-Allow-Origin") != "*" || r.header.Get("Content-Type") != "application/json" {
			t.Errorf("headers: %v", r.header)
		}
		assertNoSecrets(t, "the response", r.body)
		call := g.lastCall()
		if call.Method != http.MethodPost || call.Path != "/api/sources/"+sourceAlpha+"/search" || call.RawQuery != "" {
			t.Errorf("asked %s %s?%s", call.Method, call.Path, call.RawQuery)
		}
		if string(call.Body) != `{"query":"reset"}` || call.ContentLength != int64(len(call.Body)) {
			t.Errorf("sent %s", call.Body)
		}
		for name, want := range map[string]string{
			"Authorization": "Bearer " + access, "Cookie": "", "X-Session-Id": "", "Origin": "https://docs.example.com",
			"Content-Type": "application/json", "Accept-Encoding": "identity", "X-Forwarded-For": "127.0.0.1",
		} {
			if got := call.Header.Get(name); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}

		g.backend.Reset()
		r = g.ask("/api/search", tokenMany, "reset", "")
		if r.status != http.StatusOK || strings.Count(r.body, passageOf) != 2 ||
			!strings.Contains(r.body, "alpha") || !strings.Contains(r.body, "beta") {
			t.Errorf("two sources: %d %s", r.status, r.body)
		}
		if calls := g.backend.Calls(); len(calls) != 2 {
			t.Errorf("two sources: %d calls", len(calls))
		}
	})
}

func TestSearchFailures(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
		for name, c := range map[string]struct {
			question string
			status   int
			code     string
		}{
			"blank":                       {"  ", 400, "bad_request"},
			"longer than DocsGPT allows":  {strings.Repeat("x", 2001), 400, "bad_request"},
			"a failure":                   {"[[fail=500]]", 502, "upstream_error"},
			"a limit":                     {"[[fail=429]]", 429, "upstream_limit"},
			"the credential is bad":       {"[[fail=401]]", 502, "upstream_refused"},
			"an answer that is no result": {"[[plainjson]]", 502, "upstream_error"},
		} {
			t.Run(name, func(t *testing.T) {
				r := g.ask("/api/search", tokenMany, c.question, "")
				if r.status != c.status {
					t.Errorf("status %d, want %d: %s", r.status, c.status, r.body)
				}
				checkErrorFormat(t, "/api/search", r, c.code)
				assertNoSecrets(t, "the refusal", r.body)
			})
		}
		if calls := g.backend.Calls(); len(calls) != 8 {
			t.Errorf("DocsGPT was asked %d times, want twice for each question that it could be asked", len(calls))
		}
	})
}

// A source that DocsGPT cannot search is omitted, and that is logged.
func TestSearchIgnoresFailedSource(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
		ids := []string{sourceAlpha}
		for i := range 7 {
			ids = append(ids, fmt.Sprintf("00000000-0000-4000-8000-00000000000%d", i))
		}
		ids = append(ids, sourceBeta)
		g.writeKeys(fmt.Sprintf("keys:\n  - {id: mixed, sha256: %s, source: [%s]}\n  - {id: gone, sha256: %s, source: [%s]}\n",
			sha(tokenMany), strings.Join(ids, ", "), sha(tokenSource), ids[1]))
		waitFor(t, "the keys are read", func() bool { return g.ask("/api/search", tokenAgent, "q", "").status == http.StatusUnauthorized })
		const failures = `caddy_docsgate_upstream_failures_total{code="upstream_error",endpoint="search"}`
		before := g.metric(failures)
		r := g.ask("/api/search", tokenMany, "reset", "")
		if r.status != http.StatusOK || !strings.Contains(r.body, "alpha") || !strings.Contains(r.body, "beta") {
			t.Errorf("%d %s", r.status, r.body)
		}
		if after := g.metric(failures); after == before || after == "" {
			t.Errorf("no metric of it: %q, before %q", after, before)
		}
		if !strings.Contains(g.logs(), "source 00000000-0000-4000-8000-00000000000") {
			t.Error("the log does not name a source")
		}
		r = g.ask("/api/search", tokenSource, "reset", "")
		if r.status != http.StatusBadGateway {
			t.Errorf("no source left: %d %s", r.status, r.body)
		}
		checkErrorFormat(t, "/api/search", r, "upstream_error")
	})
}

// For versions that cannot search a source with the credential of an account, the error says which kind of key is required.
func TestSearchWithSourcesOnOlderVersions(t *testing.T) {
	g := newGate(t)
	config := g.config(fmt.Sprintf(forwardModes["built-in"], g.address, ""))
	if err := g.load(strings.Replace(config, "upstream_token", "docsgpt_version 0.18\nupstream_token", 1)); err != nil {
		t.Fatal(err)
	}
	stopAfter(t)
	r := g.ask("/api/search", tokenSource, "q", "")
	if r.status != http.StatusForbidden || !strings.Contains(r.body, "bound to an agent") {
		t.Errorf("%d %s", r.status, r.body)
	}
	checkErrorFormat(t, "/api/search", r, "binding_not_supported")
	if calls := g.backend.Calls(); len(calls) > 0 {
		t.Errorf("DocsGPT got %s", calls[0].Path)
	}
}

// stopAfter stops Caddy when the test ends.
func stopAfter(t *testing.T) {
	t.Helper()
	t.Cleanup(func() {
		if err := caddy.Stop(); err != nil {
			t.Error(err)
		}
	})
}
