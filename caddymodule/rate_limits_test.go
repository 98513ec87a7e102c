package caddymodule_test

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// askFrom sends a question from an address of this machine.
func (g *gate) askFrom(address, question string) response {
	g.t.Helper()
	transport := transportFrom(g.t, address)
	defer transport.CloseIdleConnections()
	return g.sendOver(transport, g.urls[0], http.MethodPost, "/api/answer",
		`{"question":"`+question+`","api_key":"`+tokenAgent+`"}`)
}

// waitWords is how a sentence for users says a number of seconds.
func waitWords(seconds int) string {
	switch {
	case seconds > 7200:
		return strconv.Itoa((seconds+3599)/3600) + " hours"
	case seconds > 120:
		return strconv.Itoa((seconds+59)/60) + " minutes"
	case seconds == 1:
		return "1 second"
	}
	return strconv.Itoa(seconds) + " seconds"
}

// checkLimitHeaders checks the headers of a limit that is reached.
func checkLimitHeaders(t *testing.T, path string, r response, policy string) {
	t.Helper()
	if got := r.header.Get("RateLimit-Policy"); got != policy {
		t.Errorf("%s: RateLimit-Policy %q, want %q", path, got, policy)
	}
	name, _, _ := strings.Cut(policy, ";")
	if got, want := r.header.Get("RateLimit"), name+";r=0;t="+r.header.Get("Retry-After"); got != want {
		t.Errorf("%s: RateLimit %q, want %q", path, got, want)
	}
}

// checkRateLimited checks a response to a request over a limit.
func checkRateLimited(t *testing.T, path string, r response, policy string) {
	t.Helper()
	if r.status != http.StatusTooManyRequests {
		t.Errorf("%s: %d %s", path, r.status, r.body)
		return
	}
	checkErrorFormat(t, path, r, "rate_limited")
	seconds, err := strconv.Atoi(r.header.Get("Retry-After"))
	if err != nil || seconds < 1 || !strings.Contains(r.body, "try again in "+waitWords(seconds)+".") {
		t.Errorf("%s: Retry-After %q, %s", path, r.header.Get("Retry-After"), r.body)
	}
	checkLimitHeaders(t, path, r, policy)
	if !strings.Contains(r.header.Get("Access-Control-Expose-Headers"), "RateLimit, RateLimit-Policy") {
		t.Errorf("%s: pages cannot read the headers", path)
	}
}

func TestRateOfKey(t *testing.T) {
	eachForwardingWithPolicy(t, `limits: {requests: 3/1h}`, "", func(t *testing.T, g *gate) {
		for i := range 3 {
			if r := g.ask("/api/answer", tokenAgent, "q", ""); r.status != http.StatusOK ||
				!strings.HasPrefix(r.header.Get("RateLimit"), `"key";r=`+strconv.Itoa(2-i)+";t=") {
				t.Fatalf("%d: %d, RateLimit %q", i, r.status, r.header.Get("RateLimit"))
			}
			// These do not count.
			g.send(http.MethodOptions, "/api/answer", "")
			g.send(http.MethodGet, "/v1/models", "", "Authorization", "Bearer "+tokenAgent)
			g.send(http.MethodGet, "/api/health", "")
			g.ask("/api/answer", "unknown", "q", "")
		}
		before := len(g.backend.Calls())
		for path, r := range policyRequests(g) {
			checkRateLimited(t, path, r, `"key";q=3;w=3600`)
		}
		checkRateLimited(t, "/api/search", g.ask("/api/search", tokenAgent, "q", ""), `"key";q=3;w=3600`)
		if n := len(g.backend.Calls()); n != before {
			t.Errorf("%d rejected requests reached DocsGPT", n-before)
		}
		// A change applies to the next request.
		g.writeKeys(policyKeys(`limits: {requests: off}`))
		waitFor(t, "the key has no limit", func() bool { return g.ask("/api/answer", tokenAgent, "q", "").status == http.StatusOK })
	})
}

// A reload does not reset the counters, and the site's limit applies to keys without one of their own.
func TestRateOfVisitor(t *testing.T) {
	const options = "limits {\nvisitor_requests 2/1h\n}"
	eachForwardingWithPolicy(t, "", options, func(t *testing.T, g *gate) {
		for _, address := range []string{"127.0.0.1", "127.0.0.2"} {
			for range 2 {
				if r := g.askFrom(address, "q"); r.status != http.StatusOK {
					t.Fatalf("%s: %d %s", address, r.status, r.body)
				}
			}
			checkRateLimited(t, "/api/answer", g.askFrom(address, "q"), `"visitor";q=2;w=3600`)
		}
		if err := g.load(g.config(fmt.Sprintf(forwardModes["built-in"], g.address, options))); err != nil {
			t.Fatal(err)
		}
		checkRateLimited(t, "/api/answer", g.askFrom("127.0.0.1", "q"), `"visitor";q=2;w=3600`)
	})
}

func TestStreamLimits(t *testing.T) {
	for name, policy := range map[string]string{"key": "limits: {streams: 1}", "visitor": "limits: {visitor_streams: 1}"} {
		t.Run(name, func(t *testing.T) {
			eachForwardingWithPolicy(t, policy, "", func(t *testing.T, g *gate) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				done := make(chan struct{})
				go func() {
					defer close(done)
					r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.urls[0]+"/api/answer",
						strings.NewReader(`{"question":"[[wait=30]]","api_key":"`+tokenAgent+`"}`))
					if err != nil {
						t.Error(err)
						return
					}
					r.Header.Set("Content-Type", "application/json")
					if resp, err := http.DefaultTransport.RoundTrip(r); err == nil {
						resp.Body.Close()
						t.Error("the answer was not cancelled")
					}
				}()
				waitFor(t, "the answer is in flight", func() bool { return g.upstream.Load() == 1 })
				r := g.askFrom("127.0.0.1", "q")
				if r.status != http.StatusTooManyRequests {
					t.Errorf("a second answer: %d %s", r.status, r.body)
				}
				checkErrorFormat(t, "/api/answer", r, "too_many_streams")
				if want := map[string]int{"key": http.StatusTooManyRequests, "visitor": http.StatusOK}[name]; g.askFrom("127.0.0.2", "q").status != want {
					t.Errorf("another visitor does not get %d", want)
				}
				cancel()
				<-done
				waitFor(t, "the limit is free again", func() bool { return g.askFrom("127.0.0.1", "q").status == http.StatusOK })
			})
		})
	}
}

// A question over a limit does not end the conversation, which its key gives up while an answer with its account's tools is in
// flight.
func TestStreamLimitKeepsConversation(t *testing.T) {
	for _, options := range []string{"limits {\nstreams 1\n}", "max_in_flight_per_key 1\nqueue 0", "max_in_flight_per_key 1\nqueue_timeout 50ms"} {
		testForwardModes(t, options, func(t *testing.T, g *gate) {
			id := g.ask("/api/answer", tokenSource, "q", "").conversation(t)
			conversation := `,"conversation_id":"` + id + `"`
			done := make(chan response, 1)
			go func() { done <- g.ask("/api/answer", tokenSource, "[[wait=1]]", "") }()
			waitFor(t, "the answer is in flight", func() bool { return g.upstream.Load() == 1 })
			if r := g.ask("/api/answer", tokenSource, "q", conversation); r.status != http.StatusTooManyRequests {
				t.Fatalf("%s: a second answer: %d %s", options, r.status, r.body)
			}
			<-done
			waitFor(t, "the limit is free again", func() bool {
				return g.ask("/api/answer", tokenSource, "q", conversation).status == http.StatusOK
			})
			if body := string(g.lastCall().Body); !strings.Contains(body, `"conversation_id":"`+bareID(t, id)+`"`) {
				t.Errorf("%s: the conversation is lost: %s", options, body)
			}
		})
	}
}

func TestLimitsDryRun(t *testing.T) {
	eachForwardingWithPolicy(t, `limits: {requests: 1/1h, visitor_requests: 2/1h, question_chars: 5}`, "limits {\ndry_run requests question_chars\n}",
		func(t *testing.T, g *gate) {
			before := g.wouldReject("rate_limited")
			for range 2 {
				if r := g.askFrom("127.0.0.1", "a long question"); r.status != http.StatusOK {
					t.Fatalf("%d %s", r.status, r.body)
				}
			}
			if n := g.wouldReject("rate_limited") - before; n != 1 {
				t.Errorf("%d requests would have been rejected, want 1", n)
			}
			if g.wouldReject("question_too_long") < 2 {
				t.Error("long questions are not counted")
			}
			checkRateLimited(t, "/api/answer", g.askFrom("127.0.0.1", "q"), `"visitor";q=2;w=3600`)
		})
}

func (g *gate) wouldReject(reason string) int {
	n, _ := strconv.Atoi(g.metric(`caddy_docsgate_would_reject_total{reason="` + reason + `"}`))
	return n
}
