package keyscmd

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/cmd/commands/internal/cmdtest"
	"github.com/docsgate/docsgate/console/api"
)

func TestUsageQuery(t *testing.T) {
	now := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct{ since, step, want string }{
		{"24h", "", "since=24h&step=1h"},
		{"7d", "", "since=7d&step=1d"},
		{"7d", "6h", "since=7d&step=6h"},
		{"2027-03-01", "", "since=2027-03-01T00%3A00%3A00Z&step=1h"},
	} {
		if got, err := usageQuery(c.since, c.step, now); err != nil || got.Encode() != c.want {
			t.Errorf("%s, %s: %s, %v", c.since, c.step, got.Encode(), err)
		}
	}
	for _, c := range [][2]string{{"yesterday", ""}, {"7d", "often"}} {
		if got, err := usageQuery(c[0], c[1], now); err == nil {
			t.Errorf("%v: %s", c, got.Encode())
		}
	}
}

func TestUsageFormats(t *testing.T) {
	counts := api.UsageCounts{
		Requests: 20, Succeeded: 9, Failed: 2, Aborted: 1, Rejected: api.UsageRejections{Key: 1, Policy: 1, Limit: 2, Busy: 3, Request: 1},
		Streams: 4, BytesReceived: 5, BytesSent: 6, Answers: 7, AnswersWithoutSources: 3, Dislikes: 2, Tokens: 100, EstimatedTokens: 11,
		AnswerTime: &api.UsageTimes{Mean: 1.25, P50: 1, P95: 2.5}, Cost: &api.UsageCost{Currency: "EUR", Amount: 1.5, EstimatedAmount: 0.25},
	}
	start := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	body, err := json.Marshal(api.Usage{
		Since: start, Until: start.Add(time.Hour), Step: 3600, Total: counts, Points: []api.UsagePoint{{Start: start, UsageCounts: counts}},
		Keys: []api.UsageOfKey{{Key: "key_1", Name: "Docs", Requests: 20}},
	})
	if err != nil {
		t.Fatal(err)
	}
	address := cmdtest.Serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
	run := func(flags ...string) string {
		var out strings.Builder
		cmd := usageCommand()
		cmd.SetArgs(append(flags, "--address", address))
		cmd.SetOut(&out)
		cmd.SetErr(io.Discard)
		if err := cmd.ExecuteContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	table := run()
	for _, want := range []string{"2027-03-01 12:00", "total", "1.0s", "2.5s", "~111", "COST", "~1.75 EUR", "key_1", "Docs"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	records, err := csv.NewReader(strings.NewReader(run("--csv"))).ReadAll()
	if err != nil || len(records) != 2 {
		t.Fatal(records, err)
	}
	got := map[string]string{}
	for i, name := range records[0] {
		got[name] = records[1][i]
	}
	for name, want := range map[string]string{
		"start": "2027-03-01T12:00:00Z", "requests": "20", "rejected_busy": "3", "answers_without_sources": "3", "estimated_tokens": "11",
		"cost": "1.500000", "estimated_cost": "0.250000", "currency": "EUR",
		"first_event_seconds_p50": "", "answer_seconds_mean": "1.250", "answer_seconds_p95": "2.500",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	if line := run("--json"); strings.Count(line, "\n") != 1 || !json.Valid([]byte(line)) {
		t.Errorf("JSON: %s", line)
	}
}
