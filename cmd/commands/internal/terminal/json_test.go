package terminal

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/internal/displaytext"
)

// A JSON line decodes to the same value, is one line, and does not control a terminal.
func TestJSONLine(t *testing.T) {
	name := "a\x1b\u009b\u202e\u2028\U000e0041\u200b שלום <b>"
	in, err := json.MarshalIndent(map[string]any{"name": name, "n": 1}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := PrintJSON(&out, in); err != nil {
		t.Fatal(err)
	}
	line, more, _ := strings.Cut(out.String(), "\n")
	if more != "" {
		t.Errorf("more than one line: %q", out.String())
	}
	for _, r := range line {
		if displaytext.IsNonPrinting(r) {
			t.Errorf("%U is not escaped", r)
		}
	}
	var back struct{ Name string }
	if err := json.Unmarshal([]byte(line), &back); err != nil || back.Name != name {
		t.Errorf("%q %v", back.Name, err)
	}
}
