package doctorcmd

import "testing"

// Whether the gate can cancel abandoned answers. The check changes nothing at DocsGPT.
func TestCancelFaults(t *testing.T) {
	runCases(t, []faultCase{
		{"no credential", func(*env) {}, []string{noCancel}},
		{"an access token", func(e *env) { e.credential("upstream_tools allow", nil) }, []string{noCancel, "note docsgpt.tools"}},
		{"an older version", func(e *env) {
			e.options += "\ndocsgpt_version 1.0"
			e.hidden["/swagger.json"] = describedAs("/api/get_tools", "/api/user/tokens")
		}, []string{noCancel}},
		{"no authentication", func(e *env) { e.open = true }, []string{"warning docsgpt.unauthenticated"}},
	})
}
