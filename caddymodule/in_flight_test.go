package caddymodule_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/caddymodule"
)

// There are limits for each key and for all keys. At a limit, short requests and requests of other keys are still served.
func TestInFlightLimits(t *testing.T) {
	testHoldingModes(t, "max_in_flight 3\nmax_in_flight_per_key 2\nqueue 0", func(t *testing.T, g *gate, h *holdingUpstream, builtIn bool) {
		first := g.startQuestion(g.urls[0], "/stream", tokenAgent, "hold")
		second := g.startQuestion(g.urls[0], "/api/answer", tokenAgent, "hold")
		waitFor(t, "both are counted", func() bool { return g.inFlight("answer", builtIn) == 2 })
		completion := `{"messages":[{"role":"user","content":"q"}]}`
		for _, path := range []string{"/stream", "/api/answer"} {
			checkBusy(t, path, g.ask(path, tokenAgent, "q", ""), http.StatusTooManyRequests, "too_many_streams")
		}
		busy := g.send(http.MethodPost, "/v1/chat/completions", completion, "Authorization", "Bearer "+tokenAgent)
		checkBusy(t, "/v1/chat/completions", busy, http.StatusTooManyRequests, "too_many_streams")
		if !strings.Contains(busy.body, `"type":"rate_limit_error"`) {
			t.Errorf("%s", busy.body)
		}

		third := g.startQuestion(g.urls[0], "/stream", tokenSource, "hold")
		checkBusy(t, "/stream", g.ask("/stream", tokenMany, "q", ""), http.StatusServiceUnavailable, "overloaded")
		checkBusy(t, "/stream", g.ask("/stream", tokenAgent, "q", ""), http.StatusTooManyRequests, "too_many_streams")

		// Answers do not block other classes.
		for range 5 {
			if r := g.ask("/api/search", tokenAgent, "q", ""); r.status != http.StatusOK {
				t.Errorf("search: %d %s", r.status, r.body)
			}
		}
		if r := g.ask("/api/search", tokenMany, "q", ""); r.status != http.StatusOK {
			t.Errorf("search in sources: %d %s", r.status, r.body)
		}
		if r := g.send(http.MethodGet, "/v1/models", "", "Authorization", "Bearer "+tokenAgent); r.status != http.StatusOK {
			t.Errorf("models: %d %s", r.status, r.body)
		}
		if r := g.send(http.MethodGet, "/api/health", ""); r.status != http.StatusOK {
			t.Errorf("health: %d %s", r.status, r.body)
		}
		if n := g.metric(`caddy_docsgate_requests_in_flight{class="answer"} `); n < "3" {
			t.Errorf("the gauge: %q", n)
		}
		for _, series := range []string{
			`requests_in_flight{class="short"} `, `requests_in_flight{class="keyless"} `, `requests_in_flight{class="listen"} `,
			`requests_waiting{class="short"} `, `auth_decisions_total{endpoint="stream",reason="too_many_streams"} `,
			`auth_decisions_total{endpoint="completions",reason="too_many_streams"} `, `auth_decisions_total{endpoint="stream",reason="overloaded"} `,
		} {
			if g.metric("caddy_docsgate_"+series) == "" {
				t.Errorf("no metric %s", series)
			}
		}
		for reason, level := range map[string]string{"too_many_streams": "info", "overloaded": "warn"} {
			if lines := g.rejections(level); !slices.ContainsFunc(lines, func(l rejectionLine) bool { return l.Reason == reason }) {
				t.Errorf("%s is not logged: %v", reason, lines)
			}
		}

		// A slot that is released can be acquired again.
		for range 3 {
			h.finish <- struct{}{}
		}
		for _, a := range []*pendingRequest{first, second, third} {
			if r := <-a.done; r.status != http.StatusOK {
				t.Errorf("a held request: %d %s", r.status, r.body)
			}
		}
		waitFor(t, "they are over", func() bool { return g.inFlight("answer", builtIn) == 0 })
		if r := g.ask("/stream", tokenAgent, "q", ""); r.status != http.StatusOK {
			t.Errorf("after that: %d %s", r.status, r.body)
		}
	})
}

// The slot is released when a request ends for any reason, and a rejected request does not acquire one.
func TestInFlightReleased(t *testing.T) {
	testHoldingModes(t, "max_in_flight 1\nqueue 0", func(t *testing.T, g *gate, _ *holdingUpstream, builtIn bool) {
		for name, send := range map[string]func() response{
			"answered":    func() response { return g.ask("/stream", tokenAgent, "q", "") },
			"a search":    func() response { return g.ask("/api/search", tokenMany, "q", "") },
			"health":      func() response { return g.send(http.MethodGet, "/api/health", "") },
			"unknown key": func() response { return g.ask("/stream", "unknown", "q", "") },
			"expired key": func() response { return g.ask("/stream", tokenOld, "q", "") },
			"not valid":   func() response { return g.ask("/stream", tokenAgent, "q", `,"question":1`) },
			"no binding": func() response {
				return g.send(http.MethodGet, "/v1/models", "", "Authorization", "Bearer "+tokenSource)
			},
			"foreign":        func() response { return g.ask("/stream", tokenAgent, "q", `,"conversation_id":"x"`) },
			"wrong method":   func() response { return g.send(http.MethodGet, "/stream", "") },
			"unknown path":   func() response { return g.send(http.MethodPost, "/api/user", "{}") },
			"HEAD":           func() response { return g.send(http.MethodHead, "/api/health", "") },
			"OPTIONS":        func() response { return g.send(http.MethodOptions, "/stream", "") },
			"not searchable": func() response { return g.ask("/api/search", tokenMany, strings.Repeat("x", 3000), "") },
		} {
			for range 4 {
				if r := send(); r.status == http.StatusTooManyRequests || r.status == http.StatusServiceUnavailable {
					t.Errorf("%s: %d %s", name, r.status, r.body)
				}
				for _, class := range []string{"answer", "short", "keyless"} {
					waitFor(t, name+" is over", func() bool { return g.inFlight(class, builtIn) == 0 })
				}
			}
		}
	})
}

// Nothing remains in flight if DocsGPT is unavailable or closes the connection.
func TestInFlightUpstreamFailure(t *testing.T) {
	testHoldingModes(t, "max_in_flight 1\nqueue 0", func(t *testing.T, g *gate, h *holdingUpstream, builtIn bool) {
		a := g.startQuestion(g.urls[0], "/stream", tokenAgent, "hold")
		h.CloseClientConnections()
		<-a.done
		waitFor(t, "the broken stream is over", func() bool { return g.inFlight("answer", builtIn) == 0 })
		h.Listener.Close()
		h.CloseClientConnections()
		for range 3 {
			if r := g.ask("/stream", tokenAgent, "q", ""); r.status != http.StatusBadGateway {
				t.Errorf("%d %s", r.status, r.body)
			}
			waitFor(t, "it is over", func() bool { return g.inFlight("answer", builtIn) == 0 })
		}
	})
}

// DocsGPT continues an answer whose client has disconnected, so the answer remains in flight for some time. Before 0.17.1 DocsGPT
// stops.
func TestAbandonedAnswersStayInFlight(t *testing.T) {
	for version, counts := range map[string]bool{"1.1": true, "0.17": true, "0.16": false} {
		for name, site := range forwardModes {
			t.Run(version+", "+name, func(t *testing.T) {
				g := newGate(t)
				h := newHoldingUpstream(t, g)
				g.writeKeys(fmt.Sprintf("keys:\n  - {id: agent, sha256: %s, agent: \"{env.AGENT_ALPHA}\"}\n", sha(tokenAgent)))
				upstream := ""
				if name == "built-in" {
					upstream = h.URL
				}
				site = strings.Replace(site, " openai health", "", 1)
				config := g.config(fmt.Sprintf(site, g.address, "max_in_flight 1\nqueue 0"))
				if err := g.load(strings.Replace(config, "feed file", "docsgpt_version "+version+"\nfeed file", 1)); err != nil {
					t.Fatal(err)
				}
				stopAfter(t)
				a := g.startQuestion(g.urls[0], "/stream", tokenAgent, "hold")
				a.cancel()
				waitFor(t, "the stream is over", func() bool { return g.metric("caddy_docsgate_streams_in_flight ") == "0" })
				if !counts {
					waitFor(t, "it does not count any more", func() bool { return len(caddymodule.InFlight(upstream)) == 0 })
				} else if r := g.ask("/stream", tokenAgent, "q", ""); r.status != http.StatusTooManyRequests {
					t.Errorf("%d %s", r.status, r.body)
				}
			})
		}
	}
}

// A burst of short requests is queued. If the queue is full, they are rejected.
func TestShortRequestsWait(t *testing.T) {
	testHoldingModes(t, "max_in_flight 4", func(t *testing.T, g *gate, h *holdingUpstream, builtIn bool) {
		upstream := map[bool]string{true: h.URL}[builtIn]
		var held []*pendingRequest
		for range 2 { // two sources each: four requests to the upstream
			held = append(held, g.startQuestion(g.urls[0], "/api/search", tokenMany, "hold"))
		}
		waitFor(t, "they are counted", func() bool { return caddymodule.InFlight(upstream)["short"].InFlight == 4 })
		waits := g.startQuestion(g.urls[0], "/api/search", tokenMany, "q")
		waitFor(t, "the next waits", func() bool { return caddymodule.InFlight(upstream)["short"].Waiting == 1 })
		checkBusy(t, "/api/search", g.ask("/api/search", tokenMany, "q", `,"more":"`+strings.Repeat("x", 100_000)+`"`),
			http.StatusTooManyRequests, "too_many_streams")
		gone := g.startQuestion(g.urls[0], "/api/search", tokenMany, "q")
		waitFor(t, "one more waits", func() bool { return caddymodule.InFlight(upstream)["short"].Waiting == 2 })
		gone.cancel()
		waitFor(t, "it does not wait any more", func() bool { return caddymodule.InFlight(upstream)["short"].Waiting == 1 })
		for range 4 {
			h.finish <- struct{}{}
		}
		for _, a := range append(held, waits) {
			if r := <-a.done; r.status != http.StatusOK {
				t.Errorf("%d %s", r.status, r.body)
			}
		}
	})
}

// Two sites with the same upstream share the count, but have separate limits.
func TestInFlightSharedBySites(t *testing.T) {
	g := newGate(t)
	h := newHoldingUpstream(t, g)
	site := "docsgate %s {\n\tmax_in_flight %d\n\tqueue 0\n}\n"
	g.start(fmt.Sprintf(site, g.address, 2), fmt.Sprintf(site, h.URL, 1))
	g.startQuestion(g.urls[0], "/stream", tokenAgent, "hold")
	body := `{"question":"q","api_key":"` + tokenSource + `"}`
	if r := g.sendTo(g.urls[1], http.MethodPost, "/stream", body); r.status != http.StatusServiceUnavailable {
		t.Errorf("the second site: %d %s", r.status, r.body)
	}
	if r := g.sendTo(g.urls[0], http.MethodPost, "/stream", body); r.status != http.StatusOK {
		t.Errorf("the first site: %d %s", r.status, r.body)
	}
	h.finish <- struct{}{}
}

// Requests in flight of an old configuration count for the new one, even if it has other feeds.
func TestInFlightSurvivesReloads(t *testing.T) {
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			h := newHoldingUpstream(t, g)
			config := strings.Replace(g.config(fmt.Sprintf(site, g.address, "max_in_flight 2\nqueue 0")), "grace_period 1s", "", 1)
			if err := g.load(config); err != nil {
				t.Fatal(err)
			}
			stopAfter(t)
			var held []*pendingRequest
			for range 2 {
				held = append(held, g.startQuestion(g.urls[0], "/stream", tokenAgent, "hold"))
			}
			for range 2 {
				config = strings.Replace(config, "docsgate {\n", "docsgate {\n\tfeed file "+g.keys+"2\n", 1)
				if strings.Count(config, "feed file") > 2 {
					config = strings.Replace(config, "\tfeed file "+g.keys+"2\n", "", 2)
				}
				if err := os.WriteFile(g.keys+"2", []byte("keys: []\n"), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := g.load(config); err != nil {
					t.Fatal(err)
				}
				checkBusy(t, "/stream", g.ask("/stream", tokenAgent, "q", ""), http.StatusTooManyRequests, "too_many_streams")
			}
			for range held {
				h.finish <- struct{}{}
			}
			for _, a := range held {
				if r := <-a.done; !strings.Contains(r.body, `"end"`) {
					t.Errorf("a stream of the old configuration was cut: %d %s", r.status, r.body)
				}
			}
			waitFor(t, "there is room again", func() bool { return g.ask("/stream", tokenAgent, "q", "").status == http.StatusOK })
		})
	}
}

// MCP calls of tools are answers, other MCP messages are short requests, and listeners are a class of their own.
func TestInFlightMCP(t *testing.T) {
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			site = strings.Replace(site, "openai health", "mcp", 1)
			g.start(fmt.Sprintf(site, g.address, "max_in_flight 1\nqueue 0"))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var sessions []string
			for i := range 5 {
				id := g.session(tokenAgent)
				sessions = append(sessions, id)
				r, err := http.NewRequestWithContext(ctx, http.MethodGet, g.urls[0]+"/mcp", nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Accept", "text/event-stream")
				r.Header.Set("Authorization", "Bearer "+tokenAgent)
				r.Header.Set("Mcp-Session-Id", id)
				resp, err := http.DefaultTransport.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				if want := []int{200, 200, 200, 200, http.StatusTooManyRequests}[i]; resp.StatusCode != want {
					t.Errorf("listener %d: status %d", i, resp.StatusCode)
				}
			}
			if r := g.message(tokenAgent, sessions[0], toolCall("reset")); r.status != http.StatusOK || r.rpc(t).Result == nil {
				t.Errorf("a call: %d %s", r.status, r.body)
			}
			g.startQuestion(g.urls[0], "/stream", tokenAgent, "[[gap=60]]")
			r := g.message(tokenAgent, sessions[0], toolCall("reset"))
			checkRPC(t, "a call over the limit", r, http.StatusTooManyRequests, -32000, "too_many_streams")
			if r := g.message(tokenAgent, sessions[0], toolsList); r.status != http.StatusOK || r.rpc(t).Result == nil {
				t.Errorf("tools/list: %d %s", r.status, r.body)
			}
			g.session(tokenAgent)
		})
	}
}

// The limits are validated when a configuration is loaded, from a Caddyfile or from JSON.
func TestInFlightOptionsValidated(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                            "",
		`{"max_in_flight": 8}`:          "",
		`{"max_in_flight_per_key": 64}`: "",
		`{"max_in_flight_per_key": 65}`: "max_in_flight_per_key 65 must not be above max_in_flight 64",
		`{"max_in_flight": 8, "max_in_flight_per_key": 9}`: "max_in_flight_per_key 9 must not be above max_in_flight 8",
		`{"max_in_flight": -1}`:                            "max_in_flight must not be negative",
		`{"max_in_flight_per_key": -1}`:                    "max_in_flight_per_key must not be negative",
		`{"max_in_flight": 1000001}`:                       "max_in_flight must be at most 1000000",
		`{"queue": 0}`:                                     "",
		`{"queue": 10000, "queue_timeout": "2m"}`:          "",
		`{"queue": -1}`:                                    "queue must be from 0 to 10000",
		`{"queue": 10001}`:                                 "queue must be from 0 to 10000",
		`{"queue_timeout": -1}`:                            "queue_timeout must not be negative",
	} {
		var h caddymodule.Handler
		if err := json.Unmarshal([]byte(text), &h); err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := h.Validate(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
