package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/caddymodule/logsample"
)

// rejectionLine is a line of the log about a rejected request.
type rejectionLine struct {
	Level, Msg, Endpoint, Reason, Key string
	ClientIP                          string `json:"client_ip"`
	RequestID                         string `json:"request_id"`
	Suppressed                        int
}

// rejections returns the lines about rejected requests with a level.
func (g *gate) rejections(level string) (lines []rejectionLine) {
	g.t.Helper()
	for text := range strings.Lines(g.logs()) {
		var line rejectionLine
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			g.t.Fatal(err)
		}
		if line.Msg == "request rejected" && line.Level == level {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestRejectionsAreLogged(t *testing.T) {
	g := newGate(t)
	g.start(fmt.Sprintf(forwardModes["built-in"], g.address, "limits {\nquestion_chars 5\n}"))
	tooLong := g.ask("/stream", tokenAgent, "a long question", "")
	unknown := g.ask("/api/answer", "unknown-token", "q", "")
	lines := g.rejections("info")
	want := []rejectionLine{
		{"info", "request rejected", "stream", "question_too_long", "agent", "127.0.0.1", tooLong.header.Get("X-Request-Id"), 0},
		{"info", "request rejected", "answer", "unknown_token", "", "127.0.0.1", unknown.header.Get("X-Request-Id"), 0},
	}
	if len(lines) != len(want) {
		t.Fatalf("got %d lines: %+v", len(lines), lines)
	}
	for i := range want {
		if lines[i] != want[i] {
			t.Errorf("got %+v, want %+v", lines[i], want[i])
		}
	}
	assertNoSecrets(t, "the log", g.logs())
}

// A flood of rejected requests from many addresses writes a bounded number of lines.
func TestFloodOfRejectionsIsSampled(t *testing.T) {
	g := newGate(t)
	g.start(fmt.Sprintf(forwardModes["built-in"], g.address, "limits {\nfailed_tokens off\n}"))
	const addresses, each = 3 * logsample.Burst, 10
	proxy, begun := transportFrom(t, "127.0.0.9"), time.Now() // a trusted proxy, with the client's address in a header
	for i := range addresses {
		for range each {
			r := g.sendOver(proxy, g.urls[0], http.MethodPost, "/stream", `{"question":"q","api_key":"unknown"}`,
				"X-Forwarded-For", fmt.Sprintf("192.0.2.%d", i))
			if r.status != http.StatusUnauthorized {
				t.Fatalf("%d %s", r.status, r.body)
			}
		}
	}
	lines := g.rejections("info")
	most := logsample.Burst + logsample.Rate*int(time.Since(begun)/time.Second+1)
	if n := len(lines); n < logsample.Burst || n > most {
		t.Errorf("%d lines for %d requests, want from %d to %d", n, addresses*each, logsample.Burst, most)
	}
	last := map[string]int{}
	for _, l := range lines {
		if n, repeated := last[l.ClientIP]; repeated && n == 0 && l.Suppressed == 0 {
			t.Errorf("a second line of %s: %+v", l.ClientIP, l)
		}
		last[l.ClientIP] = l.Suppressed
	}
}
