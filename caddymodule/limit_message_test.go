package caddymodule_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/caddymodule"
)

// The same sentence for a key and for a site.
const (
	limitMessage       = `limit_message: "Zu viele <b>Fragen</b>: {wait_short} ({wait})."`
	limitMessageOption = `limit_message "Zu viele <b>Fragen</b>: {wait_short} ({wait})."`
)

// sentenceOf returns the sentence in an error response, in the format of the path.
func sentenceOf(t *testing.T, path string, r response) string {
	t.Helper()
	var got struct {
		Message string
		Error   any
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(r.body, "data: ")), &got); err != nil {
		t.Fatalf("%s: %v: %s", path, err, r.body)
	}
	switch e := got.Error.(type) {
	case string:
		return e
	case map[string]any:
		sentence, _ := e["message"].(string)
		return sentence
	}
	t.Fatalf("%s: no sentence in %s", path, r.body)
	return ""
}

// checkLimitMessage checks a response to a request over a limit with limitMessage.
func checkLimitMessage(t *testing.T, path string, r response, code string) {
	t.Helper()
	if r.status != http.StatusTooManyRequests {
		t.Errorf("%s: %d %s", path, r.status, r.body)
		return
	}
	checkErrorFormat(t, path, r, code)
	seconds, err := strconv.Atoi(r.header.Get("Retry-After"))
	if err != nil {
		t.Fatalf("%s: Retry-After %q", path, r.header.Get("Retry-After"))
	}
	long := waitWords(seconds)
	short := regexp.MustCompile(`(s)econds?|(min)utes?|(h)ours?`).ReplaceAllString(long, "$1$2$3")
	if got, want := sentenceOf(t, path, r), "Zu viele <b>Fragen</b>: "+short+" ("+long+")."; got != want {
		t.Errorf("%s: %q, want %q", path, got, want)
	}
}

// The sentence of a key replaces that of the site, which replaces the default. The code and the wait stay.
func TestLimitMessageOfRate(t *testing.T) {
	for name, c := range map[string]struct{ fields, options string }{
		"key":  {`limits: {requests: 1/1h}, ` + limitMessage, "limits {\nlimit_message \"Too many.\"\n}"},
		"site": {``, "limits {\nrequests 1/1h\n" + limitMessageOption + "\n}"},
	} {
		t.Run(name, func(t *testing.T) {
			eachForwardingWithPolicy(t, c.fields, c.options, func(t *testing.T, g *gate) {
				g.ask("/api/answer", tokenAgent, "q", "")
				for path, r := range policyRequests(g) {
					checkLimitMessage(t, path, r, "rate_limited")
				}
				checkLimitMessage(t, "/api/search", g.ask("/api/search", tokenAgent, "q", ""), "rate_limited")
				g.writeKeys(policyKeys(`limits: {requests: 1/1h}, limit_message: "Later."`))
				waitFor(t, "the new sentence", func() bool {
					return sentenceOf(t, "/api/answer", g.ask("/api/answer", tokenAgent, "q", "")) == "Later."
				})
			})
		})
	}
}

func TestLimitMessageOfQuota(t *testing.T) {
	eachForwardingWithPolicy(t, `limits: {questions_per_day: 1}, `+limitMessage, "", func(t *testing.T, g *gate) {
		g.ask("/api/answer", tokenAgent, "q", "")
		for path, r := range policyRequests(g) {
			checkLimitMessage(t, path, r, "quota_exceeded")
		}
	})
}

// Each limit of streams, and the quota of tokens while answers are in flight, have the sentence.
func TestLimitMessageOfStreams(t *testing.T) {
	for name, c := range map[string]struct{ limits, options, code string }{
		"streams":               {"streams: 1", "", "too_many_streams"},
		"visitor_streams":       {"visitor_streams: 1", "", "too_many_streams"},
		"max_in_flight_per_key": {"requests: off", "max_in_flight_per_key 1\nqueue 0", "too_many_streams"},
		"tokens_per_day":        {"tokens_per_day: 2000", "", "quota_exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			g.writeKeys(policyKeys(`limits: {` + c.limits + `}, ` + limitMessage))
			g.start("docsgate " + g.address + " {\nendpoints widget openai\n" + c.options + "\n}\n")
			held := g.startQuestion(g.urls[0], "/api/answer", tokenAgent, "[[wait=30]]")
			defer held.cancel()
			waitFor(t, "the answer is in flight", func() bool { return g.upstream.Load() == 1 })
			for path, r := range policyRequests(g) {
				checkLimitMessage(t, path, r, c.code)
			}
		})
	}
}

// The sentence is only for limits of keys.
func TestLimitMessageNotForUnknownTokens(t *testing.T) {
	g := newGate(t)
	g.start("docsgate " + g.address + " {\nlimits {\nfailed_tokens 1/1h\n" + limitMessageOption + "\n}\n}\n")
	g.ask("/api/answer", "unknown", "q", "")
	r := g.ask("/api/answer", "unknown", "q", "")
	checkErrorFormat(t, "/api/answer", r, "rate_limited")
	if got := sentenceOf(t, "/api/answer", r); !strings.HasPrefix(got, "Too many requests with an invalid API key.") {
		t.Errorf("%s", got)
	}
}

// The sentence of a site in a JSON configuration is validated, too.
func TestLimitMessageValidated(t *testing.T) {
	h := caddymodule.Handler{LimitMessage: "in {seconds}"}
	if err := h.Validate(); err == nil || !strings.Contains(err.Error(), "unknown placeholder") {
		t.Errorf("error %v", err)
	}
}
