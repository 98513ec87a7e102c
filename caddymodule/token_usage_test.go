package caddymodule_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/docsgate/docsgate/caddymodule/app"
	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys/quota"
)

var requestIDInEvent = regexp.MustCompile(`"request_id": ?"([^"]+)"`)

// The tokens of an answer are those that DocsGPT records for its request, also after a reload.
func TestTokensOfTable(t *testing.T) {
	a := newDocsGPTFeedTest(t)
	site := fmt.Sprintf(forwardModes["built-in"], a.address, "limits {\ntokens_per_day 100000\n}")
	config := a.config("poll_interval 20ms", site)
	if err := a.load(config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = caddy.Stop() })
	const key = "agent_" + agentOfAlpha
	used := func() quota.Use {
		use, _ := app.CountersOf("").Quotas.Use(quota.NewCalendar(nil).At(time.Now()), key)
		return use
	}
	before := used()
	// record asks a question, and records what the answer has cost as DocsGPT does.
	record := func(prompt, generated int) {
		t.Helper()
		r := a.ask("/stream", agentAlpha, "Q", "")
		id := requestIDInEvent.FindStringSubmatch(r.body)
		if r.status != http.StatusOK || id == nil {
			t.Fatalf("%d %s", r.status, r.body)
		}
		pgtest.Exec(t, a.database, fmt.Sprintf("INSERT INTO token_usage (request_id, prompt_tokens, generated_tokens) VALUES "+
			"('%[1]s', %[2]d, 0), ('%[1]s', 0, %[3]d)", id[1], prompt, generated))
	}
	record(7, 60)
	if use := used(); use.EstimatedTokensToday-before.EstimatedTokensToday < 1000 {
		t.Errorf("before the number is known: %+v", use)
	}
	waitFor(t, "the recorded tokens", func() bool {
		use := used()
		return use.TokensToday-before.TokensToday == 67 && use.EstimatedTokensToday == before.EstimatedTokensToday
	})
	record(100, 8)
	if err := a.load(strings.Replace(config, "poll_interval 20ms", "poll_interval 21ms", 1)); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the recorded tokens after a reload", func() bool { return used().TokensToday-before.TokensToday == 175 })

	// Without permissions the estimates are kept, and the feed continues.
	pgtest.Exec(t, a.database, "DROP TABLE token_usage")
	logged := len(a.logs())
	if r := a.ask("/stream", agentAlpha, "Q", ""); r.status != http.StatusOK {
		t.Errorf("%d %s", r.status, r.body)
	}
	waitFor(t, "the warning", func() bool { return strings.Contains(a.logs()[logged:], "the tokens of answers cannot be read") })
	if use := used(); use.EstimatedTokensToday-before.EstimatedTokensToday < 1000 {
		t.Errorf("without the table: %+v", use)
	}
	if n := strings.Count(a.logs()[logged:], "cannot be read"); n != 1 {
		t.Errorf("%d warnings", n)
	}
}
