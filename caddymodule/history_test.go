package caddymodule_test

import (
	"net/http"
	"strings"
	"testing"
)

// Only pairs of texts in a history are forwarded, and at most as many as the site allows.
func TestForwardedHistory(t *testing.T) {
	const limits = "\nmax_history_entries 2\nmax_history_size 1KiB\nmax_text_size 1KiB"
	testForwardModes(t, limits, func(t *testing.T, g *gate) {
		ask := func(history string) response {
			return g.send(http.MethodPost, "/stream", `{"question":"q","history":"`+history+`","api_key":"`+tokenAgent+`"}`)
		}
		pair := func(prompt, more string) string {
			return `{\"prompt\":\"` + prompt + `\",` + more + `\"response\":\"r\"}`
		}
		r := ask(`[` + pair("1", "") + `,` + pair("2", "") + `,` + pair("3", `\"tool_calls\":[{\"result\":\"x\"}],`) + `,{\"prompt\":\"q\"}]`)
		if r.status != http.StatusOK {
			t.Fatalf("%d %s", r.status, r.body)
		}
		want := `{"question":"q","history":"[` + pair("2", "") + `,` + pair("3", "") + `]","api_key":"` + agentAlpha + `"}`
		call := g.lastCall()
		if string(call.Body) != want || call.ContentLength != int64(len(want)) {
			t.Errorf("got %s (%d bytes), want %s", call.Body, call.ContentLength, want)
		}

		for history, says := range map[string]string{
			`[{\"prompt\":[{\"type\":\"image_url\"}],\"response\":\"r\"}]`: `history[0].prompt must be a string`,
			`[NaN]`: `does not contain a single valid JSON value`,
		} {
			if r := ask(history); !strings.Contains(r.body, says) || !strings.Contains(r.body, `"bad_request"`) {
				t.Errorf("%s: got %d %s", history, r.status, r.body)
			}
		}
		if r := g.ask("/stream", tokenAgent, strings.Repeat("x", 1025), ""); !strings.Contains(r.body, "at most 1024 bytes") {
			t.Errorf("a long question: got %d %s", r.status, r.body)
		}
		if string(g.lastCall().Body) != want {
			t.Error("a rejected request reached DocsGPT")
		}
	})
}
