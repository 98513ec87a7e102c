package caddymodule_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/caddymodule"
)

// queueSite has one slot for answers, and keepalives soon.
const queueSite = "max_in_flight 1\nlimits off\nsse_keepalive 100ms\n"

// waitForQueue waits until that many answers wait.
func (h *holdingUpstream) waitForQueue(t *testing.T, builtIn bool, n int) {
	t.Helper()
	upstream := map[bool]string{true: h.URL}[builtIn]
	waitFor(t, fmt.Sprintf("%d answers wait", n), func() bool { return caddymodule.InFlight(upstream)["answer"].Waiting == n })
}

// queueFormats are questions in each format, and how keepalives and an error begin in it after the client has waited.
var queueFormats = map[string]struct {
	path, body             string
	keepalive, event, want string
}{
	"stream":     {"/stream", policyQuestion("q"), "\n", `data: {"type":"error","error":"`, widgetAnswer + widgetEnd},
	"answer":     {"/api/answer", policyQuestion("q"), "", "", `{"answer":"done"`},
	"completion": {"/v1/chat/completions", chatQuestion(false, "q"), "", "", `{"answer":"done"`},
	"v1 stream":  {"/v1/chat/completions", chatQuestion(true, "q"), ": keepalive\n\n", `data: {"error":{"message":"`, chunkOne + chunkDone},
}

// sendLater sends a request of tokenAgent.
func (g *gate) sendLater(path, body string) *pendingRequest {
	return g.sendLaterFrom(http.DefaultTransport, path, body)
}

func (g *gate) sendLaterFrom(transport http.RoundTripper, path, body string) *pendingRequest {
	ctx, cancel := context.WithCancel(g.t.Context())
	g.t.Cleanup(cancel)
	a := &pendingRequest{cancel: cancel, done: make(chan response, 1)}
	go func() {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.urls[0]+path, strings.NewReader(body))
		if err != nil {
			g.t.Error(err)
			return
		}
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Accept", accept)
		if strings.HasPrefix(path, "/v1/") {
			r.Header.Set("Authorization", "Bearer "+tokenAgent)
		}
		resp, err := transport.RoundTrip(r)
		if err != nil { // canceled
			a.done <- response{}
			return
		}
		defer resp.Body.Close()
		text, _ := io.ReadAll(resp.Body)
		a.done <- response{resp.StatusCode, resp.Header, string(text)}
	}()
	return a
}

// A request above the limit waits for a slot, with keepalives if it is a stream, and is answered.
func TestQueuedRequestsAreAnswered(t *testing.T) {
	testHoldingModes(t, queueSite, func(t *testing.T, g *gate, h *holdingUpstream, builtIn bool) {
		for name, c := range queueFormats {
			held := g.startQuestion(g.urls[0], "/stream", tokenSource, "hold")
			waits := g.sendLater(c.path, c.body)
			h.waitForQueue(t, builtIn, 1)
			if n := g.metric(`caddy_docsgate_requests_waiting{class="answer"} `); n != "1" {
				t.Errorf("%s: the gauge: %q", name, n)
			}
			if c.keepalive != "" { // two keepalives later
				waitFor(t, "the stream has begun", func() bool { return g.metric("caddy_docsgate_streams_in_flight ") == "2" })
				time.Sleep(150 * time.Millisecond)
			}
			h.finish <- struct{}{}
			if r := <-held.done; r.status != http.StatusOK {
				t.Errorf("%s: the one in flight: %d %s", name, r.status, r.body)
			}
			r := <-waits.done
			rest := strings.ReplaceAll(r.body, c.keepalive, "")
			if c.keepalive == "\n" {
				rest = strings.TrimLeft(r.body, "\n")
			}
			if r.status != http.StatusOK || !strings.HasPrefix(r.body, c.keepalive) || !strings.HasPrefix(rest, c.want) {
				t.Errorf("%s: %d %q", name, r.status, r.body)
			}
		}
		if n := g.metric(`caddy_docsgate_queue_duration_seconds_count{class="answer"} `); n == "" || n == "0" {
			t.Errorf("the histogram: %q", n)
		}
	})
}

// While answers wait, nothing else does.
func TestOtherRequestsDoNotQueue(t *testing.T) {
	testHoldingModes(t, queueSite, func(t *testing.T, g *gate, h *holdingUpstream, builtIn bool) {
		held := g.startQuestion(g.urls[0], "/stream", tokenAgent, "hold")
		waits := g.sendLater("/stream", policyQuestion("q"))
		h.waitForQueue(t, builtIn, 1)
		for name, r := range map[string]response{
			"search":         g.ask("/api/search", tokenAgent, "q", ""),
			"another search": g.ask("/api/search", tokenMany, "q", ""),
			"models":         g.send(http.MethodGet, "/v1/models", "", "Authorization", "Bearer "+tokenAgent),
			"health":         g.send(http.MethodGet, "/api/health", ""),
		} {
			if r.status != http.StatusOK {
				t.Errorf("%s: %d %s", name, r.status, r.body)
			}
		}
		h.finish <- struct{}{}
		<-held.done
		<-waits.done
	})
}

// A full queue rejects requests in the format of their client: with 429, or in the stream if that has begun.
func TestQueueFull(t *testing.T) {
	testHoldingModes(t, queueSite+"queue 2", func(t *testing.T, g *gate, h *holdingUpstream, builtIn bool) {
		for name, c := range queueFormats {
			held := g.startQuestion(g.urls[0], "/stream", tokenSource, "hold")
			first := g.sendLater("/api/answer", policyQuestion("q"))
			h.waitForQueue(t, builtIn, 1)
			waits := g.sendLater(c.path, c.body)
			h.waitForQueue(t, builtIn, 2)
			var headers []string
			if strings.HasPrefix(c.path, "/v1/") {
				headers = []string{"Authorization", "Bearer " + tokenAgent}
			}
			r := g.send(http.MethodPost, c.path, c.body, headers...)
			checkQueueError(t, c.path, r, "queue_full")

			// One of a key with fewer requests takes its place.
			if c.event != "" {
				waitFor(t, "the stream has begun", func() bool { return g.metric("caddy_docsgate_streams_in_flight ") == "2" })
			}
			other := g.sendLater("/api/answer", fmt.Sprintf(`{"question":"q","api_key":%q}`, tokenSource))
			switch r := <-waits.done; {
			case c.event == "":
				checkQueueError(t, c.path, r, "queue_full")
			case r.status != http.StatusOK || !strings.HasPrefix(r.body, c.keepalive) || !strings.Contains(r.body, c.event) ||
				!strings.Contains(r.body, `"code":"queue_full"`):
				t.Errorf("%s: %d %q", name, r.status, r.body)
			}
			h.finish <- struct{}{}
			<-held.done
			for _, waits := range []*pendingRequest{first, other} {
				if r := <-waits.done; r.status != http.StatusOK {
					t.Errorf("%s: one that stays: %d %s", name, r.status, r.body)
				}
			}
		}
		for _, series := range []string{
			`queue_rejections_total{class="answer",reason="full"} `,
			`queue_rejections_total{class="answer",reason="evicted"} `,
			`auth_decisions_total{endpoint="stream",reason="queue_full"} `,
			`auth_decisions_total{endpoint="stream",reason="queue_evicted"} `,
			`auth_decisions_total{endpoint="completions",reason="queue_evicted"} `,
		} {
			if g.metric("caddy_docsgate_"+series) == "" {
				t.Errorf("no metric %s", series)
			}
		}
	})
}

// checkQueueError checks an error response of the queue.
func checkQueueError(t *testing.T, path string, r response, code string) {
	t.Helper()
	seconds, err := strconv.Atoi(r.header.Get("Retry-After"))
	if r.status != http.StatusTooManyRequests || err != nil || seconds < 1 || seconds > 300 {
		t.Errorf("%s: %d, Retry-After %q: %s", path, r.status, r.header.Get("Retry-After"), r.body)
	}
	checkErrorFormat(t, path, r, code)
	if !strings.Contains(r.body, "Too many questions are waiting for an answer. Please try again in ") {
		t.Errorf("%s: %s", path, r.body)
	}
	assertNoSecrets(t, "the rejection", r.body)
}

// A request that has waited for queue_timeout is rejected, and a large one does not wait.
func TestQueueTimeout(t *testing.T) {
	testHoldingModes(t, queueSite+"queue_timeout 50ms", func(t *testing.T, g *gate, h *holdingUpstream, builtIn bool) {
		held := g.startQuestion(g.urls[0], "/stream", tokenSource, "hold")
		for name, c := range queueFormats {
			if c.event == "" {
				r := <-g.sendLater(c.path, c.body).done
				t.Log(name)
				checkQueueError(t, c.path, r, "queue_timeout")
			}
		}
		large := strings.Replace(policyQuestion("q"), "{", `{"more":"`+strings.Repeat("x", 300<<10)+`",`, 1)
		checkBusy(t, "/stream", g.send(http.MethodPost, "/stream", large), http.StatusServiceUnavailable, "overloaded")
		h.waitForQueue(t, builtIn, 0)
		h.finish <- struct{}{}
		<-held.done
	})
}

// A client that disconnects leaves the queue, and a key that stops being valid has no requests in it.
func TestQueueIsLeft(t *testing.T) {
	testHoldingModes(t, queueSite, func(t *testing.T, g *gate, h *holdingUpstream, builtIn bool) {
		held := g.startQuestion(g.urls[0], "/stream", tokenSource, "hold")
		for name, c := range queueFormats {
			gone := g.sendLater(c.path, c.body)
			stays := g.sendLater(c.path, c.body)
			h.waitForQueue(t, builtIn, 2)
			gone.cancel()
			h.waitForQueue(t, builtIn, 1)
			g.writeKeys(strings.Replace(keyFile(), "{id: agent,", "{id: agent, state: disabled,", 1))
			r := <-stays.done
			h.waitForQueue(t, builtIn, 0)
			if !strings.Contains(r.body, `"code":"key_revoked"`) {
				t.Errorf("%s: %d %q", name, r.status, r.body)
			}
			g.writeKeys(keyFile())
			waitFor(t, "the key is valid again", func() bool { return g.ask("/api/search", tokenAgent, "q", "").status == http.StatusOK })
		}
		h.finish <- struct{}{}
		if r := <-held.done; r.status != http.StatusOK {
			t.Errorf("a request of another key: %d %s", r.status, r.body)
		}
	})
}

// When the process exits, requests in the queue are rejected immediately, since those before them use the whole grace period.
func TestQueueAtShutdown(t *testing.T) {
	testHoldingModes(t, queueSite, func(t *testing.T, g *gate, h *holdingUpstream, builtIn bool) {
		held := g.startQuestion(g.urls[0], "/stream", tokenSource, "hold")
		pending := map[string]*pendingRequest{}
		for name, c := range queueFormats {
			pending[name] = g.sendLater(c.path, c.body)
		}
		h.waitForQueue(t, builtIn, len(queueFormats))
		caddymodule.Exiting(t)
		caddymodule.EndRequests(time.Minute)
		for name, waits := range pending {
			if r := <-waits.done; !strings.Contains(r.body, `"code":"shutting_down"`) {
				t.Errorf("%s: %d %q", name, r.status, r.body)
			}
		}
		h.waitForQueue(t, builtIn, 0)
		h.finish <- struct{}{}
		if r := <-held.done; r.status != http.StatusOK || !strings.Contains(r.body, `"end"`) {
			t.Errorf("the request in flight: %d %s", r.status, r.body)
		}
	})
}

// The queue survives reloads, and a new size applies to it.
func TestQueueSurvivesReloads(t *testing.T) {
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			h := newHoldingUpstream(t, g)
			builtIn := name == "built-in"
			load := func(queue int) {
				t.Helper()
				config := g.config(fmt.Sprintf(site, g.address, queueSite+"queue "+strconv.Itoa(queue)))
				if err := g.load(strings.Replace(config, "grace_period 1s", "", 1)); err != nil {
					t.Fatal(err)
				}
			}
			load(3)
			stopAfter(t)
			held := g.startQuestion(g.urls[0], "/stream", tokenSource, "hold")
			var waiting []*pendingRequest
			for i := range 3 {
				waiting = append(waiting, g.sendLater("/api/answer", policyQuestion("q")))
				h.waitForQueue(t, builtIn, i+1)
			}
			load(4)
			waiting = append(waiting, g.sendLater("/api/answer", policyQuestion("q")))
			h.waitForQueue(t, builtIn, 4)
			load(2)
			for _, want := range []int{3, 2, 2} { // the new one is rejected, and one of those before it
				checkQueueError(t, "/api/answer", g.send(http.MethodPost, "/api/answer", policyQuestion("q")), "queue_full")
				h.waitForQueue(t, builtIn, want)
			}
			load(0)
			checkBusy(t, "/api/answer", g.send(http.MethodPost, "/api/answer", policyQuestion("q")), http.StatusTooManyRequests, "too_many_streams")
			h.finish <- struct{}{}
			if r := <-held.done; r.status != http.StatusOK {
				t.Errorf("the request in flight: %d %s", r.status, r.body)
			}
			for i, w := range waiting {
				if r := <-w.done; (r.status == http.StatusOK) != (i < 2) {
					t.Errorf("%d: %d %s", i, r.status, r.body)
				}
			}
		})
	}
}

// Quotas are decided before a request waits, and a question that is not forwarded does not count.
func TestQueueAndQuota(t *testing.T) {
	testHoldingModes(t, queueSite, func(t *testing.T, g *gate, h *holdingUpstream, builtIn bool) {
		g.writeKeys(keyFile() + fmt.Sprintf("  - {id: few, sha256: %s, agent: \"{env.AGENT_ALPHA}\", limits: {questions_per_day: 1}}\n", sha(tokenOther)))
		waitFor(t, "the key is loaded", func() bool { return g.ask("/api/search", tokenOther, "q", "").status == http.StatusOK })
		question := strings.ReplaceAll(policyQuestion("q"), tokenAgent, tokenOther)
		held := g.startQuestion(g.urls[0], "/stream", tokenSource, "hold")
		for range 2 {
			waits := g.sendLater("/api/answer", question)
			h.waitForQueue(t, builtIn, 1)
			checkQuotaExceeded(t, "/api/answer", g.send(http.MethodPost, "/api/answer", question), `"questions_per_day";q=1;w=86400`)
			waits.cancel()
			h.waitForQueue(t, builtIn, 0)
		}
		waits := g.sendLater("/api/answer", question)
		h.waitForQueue(t, builtIn, 1)
		h.finish <- struct{}{}
		<-held.done
		if r := <-waits.done; r.status != http.StatusOK {
			t.Errorf("%d %s", r.status, r.body)
		}
		checkQuotaExceeded(t, "/api/answer", g.send(http.MethodPost, "/api/answer", question), `"questions_per_day";q=1;w=86400`)
	})
}

// The visitors of a key take turns.
func TestQueuedVisitorsTakeTurns(t *testing.T) {
	testHoldingModes(t, queueSite, func(t *testing.T, g *gate, h *holdingUpstream, builtIn bool) {
		held := g.startQuestion(g.urls[0], "/stream", tokenSource, "hold")
		var flood []*pendingRequest
		for i := range 3 {
			flood = append(flood, g.sendLaterFrom(transportFrom(t, "127.0.0.7"), "/stream", policyQuestion("hold")))
			h.waitForQueue(t, builtIn, i+1)
		}
		other := g.sendLaterFrom(transportFrom(t, "127.0.0.8"), "/stream", policyQuestion("hold"))
		h.waitForQueue(t, builtIn, 4)
		for range 3 { // the held one, the first of the flood, and the other visitor
			h.finish <- struct{}{}
		}
		<-held.done
		<-flood[0].done
		if r := <-other.done; r.status != http.StatusOK {
			t.Errorf("%d %s", r.status, r.body)
		}
		h.waitForQueue(t, builtIn, 1)
		for range 2 {
			h.finish <- struct{}{}
		}
		<-flood[1].done
		<-flood[2].done
	})
}

// A key with a weight takes more slots in its turn: its own weight, or else that of the site.
func TestQueueWeight(t *testing.T) {
	for name, c := range map[string]struct{ site, agent, other string }{
		"of the key":  {"limits off\n", "", ", limits: {weight: 3}"},
		"of the site": {"limits {\nvisitor_streams off\nweight 3\n}\n", ", limits: {weight: 1}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			testHoldingModes(t, strings.Replace(queueSite, "limits off\n", c.site, 1), func(t *testing.T, g *gate, h *holdingUpstream, builtIn bool) {
				keyOf := "  - {id: %s, sha256: %s, agent: \"{env.AGENT_ALPHA}\"%s}\n"
				g.writeKeys(fmt.Sprintf("keys:\n"+keyOf+keyOf+keyOf, "agent", sha(tokenAgent), c.agent, "other", sha(tokenOther), c.other,
					"source", sha(tokenSource), ""))
				waitFor(t, "the keys are loaded", func() bool { return g.ask("/api/search", tokenOther, "q", "").status == http.StatusOK })
				held := g.startQuestion(g.urls[0], "/stream", tokenSource, "hold")
				var waiting []*pendingRequest
				question := policyQuestion("hold")
				for i, body := range []string{question, question, question} {
					waiting = append(waiting, g.sendLater("/stream", body))
					h.waitForQueue(t, builtIn, i+1)
				}
				for i := range 3 {
					waiting = append(waiting, g.sendLater("/stream", strings.ReplaceAll(question, tokenAgent, tokenOther)))
					h.waitForQueue(t, builtIn, i+4)
				}
				h.finish <- struct{}{}
				<-held.done
				for _, i := range []int{0, 3, 4, 5, 1, 2} {
					h.finish <- struct{}{}
					select {
					case r := <-waiting[i].done:
						if r.status != http.StatusOK {
							t.Errorf("%d: %d %s", i, r.status, r.body)
						}
					case <-time.After(30 * time.Second):
						t.Fatalf("the request %d is not served in its turn", i)
					}
				}
			})
		})
	}
}

// A call of an MCP client waits with keepalives, too, whether DocsGPT responds with a stream or with JSON.
func TestQueuedToolCall(t *testing.T) {
	for name, c := range map[string]string{
		"stream":         "event: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":\"a\",\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"found\"}]}}\n\n",
		"JSON":           "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\n\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"found\"}]}}",
		"an empty one":   "",
		"an error as it": `{"jsonrpc":"2.0","id":"a","error":{"code":-32603,"message":"secret"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			testQueuedToolCall(t, c)
		})
	}
}

func testQueuedToolCall(t *testing.T, reply string) {
	for mode, site := range forwardModes {
		t.Run(mode, func(t *testing.T) {
			g := newGate(t)
			h := newHoldingUpstream(t, g)
			h.reply = reply
			g.start(fmt.Sprintf(strings.Replace(site, "openai health", "mcp", 1), g.address, queueSite))
			session := g.session(tokenAgent)
			held := g.startQuestion(g.urls[0], "/stream", tokenSource, "hold")
			done := make(chan response, 1)
			go func() { done <- g.message(tokenAgent, session, toolCall("reset")) }()
			h.waitForQueue(t, mode == "built-in", 1)
			waitFor(t, "the stream has begun", func() bool { return g.metric("caddy_docsgate_streams_in_flight ") == "2" })
			h.finish <- struct{}{}
			<-held.done
			r := <-done
			if r.status != http.StatusOK || !strings.HasPrefix(r.body, ": keepalive\n\n") || strings.Count(r.body, "event: message\ndata: {") != 1 {
				t.Fatalf("%d %q", r.status, r.body)
			}
			got := r.rpc(t)
			if ok := strings.Contains(reply, "found"); ok != (got.Result != nil) || ok && got.Result.Content[0].Text != "found" ||
				!ok && got.Error == nil || strings.Contains(r.body, "secret") {
				t.Errorf("%q", r.body)
			}
		})
	}
}
