package caddymodule_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// Versions that do not support feedback do not get any. The error response contains a message, but published widgets only check
// whether the status is 200.
func TestFeedbackUnknownConversation(t *testing.T) {
	const rating = `"question":"q","answer":"a","feedback":"LIKE"`
	const which = `,"conversation_id":"c","question_index":0`
	for version, cases := range map[string][]struct {
		name, token, more string
		status            int
		code, sentence    string
	}{
		"1.1": {
			{"widget 0.4", tokenAgent, "", 400, "bad_request", "requires conversation_id and question_index"},
			{"source", tokenSource, which, 403, "binding_not_supported", "bound to an agent"},
			{"a conversation of others", tokenAgent, which, 404, "conversation_not_found", "no such conversation"},
		},
		"0.18": {
			{"agent", tokenAgent, which, 403, "not_supported", "signed in"},
			{"widget 0.4", tokenAgent, "", 403, "not_supported", "signed in"},
			{"source", tokenSource, which, 403, "not_supported", "signed in"},
		},
	} {
		t.Run(version, func(t *testing.T) {
			g := newGate(t)
			config := g.config(fmt.Sprintf(forwardModes["built-in"], g.address, ""))
			if err := g.load(strings.Replace(config, "upstream_token", "docsgpt_version "+version+"\nupstream_token", 1)); err != nil {
				t.Fatal(err)
			}
			stopAfter(t)
			for _, c := range cases {
				r := g.send(http.MethodPost, "/api/feedback", `{`+rating+c.more+`,"api_key":"`+c.token+`"}`)
				if r.status != c.status || !strings.Contains(r.body, c.sentence) {
					t.Errorf("%s: %d %s", c.name, r.status, r.body)
				}
				checkErrorFormat(t, "/api/feedback", r, c.code)
			}
			if calls := g.backend.Calls(); len(calls) > 0 {
				t.Errorf("DocsGPT got %s", calls[0].Path)
			}
		})
	}
}
