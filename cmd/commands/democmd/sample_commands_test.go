package democmd

import (
	"encoding/json"
	"strings"
	"testing"
)

// The body is one JSON object with the token and the other source, and can be put into single quotes in a shell.
func TestCrossSourceFields(t *testing.T) {
	body := crossSourceFields("dgk_x", payrollID)
	var fields map[string]any
	if err := json.Unmarshal([]byte(body), &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"active_docs", "selectDocs", "source"} {
		if fields[name] != payrollID {
			t.Errorf("%s is %v", name, fields[name])
		}
	}
	if fields["api_key"] != "dgk_x" || strings.Contains(body, "'") {
		t.Error(body)
	}
}
