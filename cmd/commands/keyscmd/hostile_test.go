package keyscmd

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/cmd/commands/internal/cmdtest"
	"github.com/docsgate/docsgate/internal/displaytext"
)

// hostile is text that controls a terminal if it is printed unchanged: with 7-bit and 8-bit escape sequences, a window title, and
// characters that change the direction of text.
const hostile = "x\x1b[2J\x1b]0;title\x07\u009b31m\x7f\u202e\u2066"

// hostileResponses are responses to any command, with hostile text in every field (%H). %T is a token.
var hostileResponses = map[string]string{
	"a key": `{"id":%H,"name":%H,"feed":%H,"issued":true,"binding":"agent","agent":%H,"sources":[%H],"masked_token":%H,"state":%H,"unusable_reason":%H,` +
		`"requests_24h":[1,2],"token":%T,"keys":[{"id":%H,"name":%H,"state":%H,"agent":%H,"binding":"agent","token":%H}],"total":1,` +
		`"entries":[{"seq":1,"at":"2026-01-01T00:00:00Z","who":%H,"from":%H,"action":%H,"key":%H,"name":%H,"detail":%H}],` +
		`"imported":[{"id":%H,"name":%H,"token":%T}],"skipped":[%H],"sources_":[{"id":%H,"name":%H}]}`,
	"a key with odd times": `{"id":"key_1","token":%T,"created":%H,"keys":[{"created":%H}],"total":1,"entries":[{"at":%H}],"imported":[{"id":7}]}`,
	"no JSON":              `{"id":` + hostile + `}`,
	"members of its own":   `{%H:%H,"keys":{%H:1}}`,
	"a problem":            `{"title":%H,"detail":%H,"code":%H,"errors":[{"field":%H,"pointer":%H,"message":%H},{"field":%H,"message":%H}]}`,
}

// No response of the server at --address controls the terminal, and a string that is not a token of a gate is not printed as a token.
func TestHostileResponses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.yaml")
	if err := os.WriteFile(file, []byte(`keys: [{id: a, sha256: `+strings.Repeat("ab", 32)+`, source: [s]}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	commands := map[string]func() *cobra.Command{
		"create --name n --source s": createCommand, "rotate key_1": rotateCommand, "list": listCommand, "show key_1": showCommand,
		"disable key_1": func() *cobra.Command { return stateCommand(disabling) }, "revoke --yes key_1": revokeCommand,
		"import " + file: importCommand, "export": exportCommand, "audit": auditCommand, "rotate name": rotateCommand,
		"update --name n key_1": updateCommand, "end-grace key_1": endGraceCommand, "missing": missingCommand, "missing --remove key_1": missingCommand, "rejections": rejectionsCommand, "usage": usageCommand, "usage key_1": usageCommand,
	}
	for kind, answer := range hostileResponses {
		for _, token := range []string{hostile, "not-a-token", tokenLike("good")} {
			shown, err := json.Marshal(token)
			if err != nil {
				t.Fatal(err)
			}
			body := strings.NewReplacer("%H", string(raw), "%T", string(shown)).Replace(answer)
			address := cmdtest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if kind == "a problem" {
					w.Header().Set("Content-Type", "application/problem+json")
					w.WriteHeader(http.StatusConflict)
				}
				_, _ = io.WriteString(w, body)
			})
			for line, command := range commands {
				for _, format := range []string{"", " --json"} {
					cmd := command()
					args := append(strings.Fields(line), "--address", address)
					if format != "" && cmd.Flags().Lookup("json") != nil {
						args = append(args, "--json")
					}
					var out, notes strings.Builder
					cmd.SetArgs(args[1:])
					cmd.SetOut(&out)
					cmd.SetErr(&notes)
					cmd.SilenceUsage = true
					_ = cmd.ExecuteContext(t.Context())
					all := out.String() + notes.String()
					if all == "" && !strings.HasPrefix(line, "audit") && line != "rejections" && line != "missing" { // empty lists have no JSON output
						t.Errorf("%s, %s: nothing is printed", kind, line)
					}
					for _, r := range strings.ReplaceAll(all, "\n", "") {
						if displaytext.IsNonPrinting(r) {
							t.Errorf("%s, %s%s: %U reaches the terminal: %q", kind, line, format, r, all)
							break
						}
					}
					if strings.Contains(out.String(), "not-a-token") && !strings.HasPrefix(line, "list") && !strings.HasPrefix(line, "show") &&
						!strings.HasPrefix(line, "disable") && !strings.HasPrefix(line, "revoke") &&
						!strings.HasPrefix(line, "update") && !strings.HasPrefix(line, "missing") && !strings.HasPrefix(line, "end-grace") && !strings.HasPrefix(line, "export") {
						t.Errorf("%s, %s%s: an invalid token is printed: %q", kind, line, format, all)
					}
				}
			}
		}
	}
}
