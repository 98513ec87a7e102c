package keyscmd

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cmdtest"
)

// runAt runs a command with arguments at a server, and returns what it prints.
func runAt(t *testing.T, cmd *cobra.Command, address, args string) (out, notes string, err error) {
	t.Helper()
	var outText, noteText strings.Builder
	cmd.SetArgs(append(strings.Fields(args), "--address", address))
	cmd.SetOut(&outText)
	cmd.SetErr(&noteText)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	err = cmd.ExecuteContext(t.Context())
	return outText.String(), noteText.String(), err
}

// A filter may match nothing on a page. The list continues with the next one.
func TestPagesOfAudit(t *testing.T) {
	pages := map[string]string{
		"":  `{"entries":[{"seq":9,"at":"2026-01-01T00:00:00Z","who":"a","from":"f","action":"changed"}],"next_cursor":7}`,
		"7": `{"entries":[],"next_cursor":5}`,
		"5": `{"entries":[{"seq":4,"at":"2026-01-01T00:00:00Z","who":"b","from":"f","action":"changed"}]}`,
	}
	address := cmdtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, pages[r.URL.Query().Get("cursor")])
	})
	for args, want := range map[string]string{"": "a b", "--all": "a b", "-n 1": "a"} {
		out, notes, err := runAt(t, auditCommand(), address, args+" --json")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(out) {
			_, who, _ := strings.Cut(line, `"who":"`)
			got = append(got, who[:1])
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %s", args, got, want)
		}
		if strings.Contains(notes, "Showing the newest 1 change; use --all") != (args == "-n 1") {
			t.Errorf("%s: %s", args, notes)
		}
	}
}

func TestAuditFilters(t *testing.T) {
	var query string
	address := cmdtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		query = r.URL.Query().Encode()
		_, _ = io.WriteString(w, `{"entries":[]}`)
	})
	_, notes, err := runAt(t, auditCommand(), address, "--action revoked --actor ali --since 2026-01-01 --until 2026-02-01T12:00:00+01:00")
	const want = "action=revoked&actor=ali&limit=50&since=2026-01-01T00%3A00%3A00Z&until=2026-02-01T11%3A00%3A00Z"
	if err != nil || query != want || notes != "There are no changes.\n" {
		t.Errorf("%s, %v, %s", query, err, notes)
	}
	before := time.Now().Add(-7 * 24 * time.Hour)
	if _, _, err := runAt(t, auditCommand(), address, "--since 7d"); err != nil {
		t.Fatal(err)
	}
	since, err := time.Parse(time.RFC3339, strings.ReplaceAll(strings.TrimPrefix(query, "limit=50&since="), "%3A", ":"))
	if err != nil || since.Before(before.Truncate(time.Second)) || since.After(before.Add(time.Minute)) {
		t.Errorf("--since 7d: %s, %v", query, err)
	}
	for _, args := range []string{"--action removed", "--since tomorrow", "--limit 0", "--limit 5 --all"} {
		if _, _, err := runAt(t, auditCommand(), address, args); err == nil {
			t.Errorf("%s: no error", args)
		}
	}
}

func TestListOrder(t *testing.T) {
	var query string
	address := cmdtest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		query = r.URL.Query().Encode()
		_, _ = io.WriteString(w, `{"keys":[],"total":0}`)
	})
	_, notes, err := runAt(t, listCommand(), address, "--sort=-used")
	if err != nil || query != "limit=50&sort=-used" || !strings.HasPrefix(notes, "There are no keys yet") {
		t.Errorf("%s, %v, %s", query, err, notes)
	}
	if _, _, err := runAt(t, listCommand(), address, "--sort size"); err == nil {
		t.Error("an unknown order is accepted")
	}
}
