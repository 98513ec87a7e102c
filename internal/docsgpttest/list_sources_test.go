package docsgpttest

import (
	"strings"
	"testing"
)

func TestListSources(t *testing.T) {
	tests := map[string]struct {
		open   bool
		header []string
		status int
		body   string
	}{
		"an unrestricted token":     {false, bearer(tokenAll), 200, `[{"id":"` + alpha + `","name":"alpha.md",`},
		"a token without the scope": {false, bearer(tokenAlpha), 403, `"required_scope":"sources:read"`},
		"an unknown token":          {false, bearer("dgpt_pat_none"), 401, "invalid_token"},
		"no credential":             {false, nil, 401, `{"success":false}`},
		"no credential, open":       {true, nil, 200, `"id":"` + beta + `"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, s := startBackend(t, test.open)
			got := send(t, "GET", s.URL+"/api/sources", "", test.header...)
			if got.status != test.status || !strings.Contains(got.body, test.body) {
				t.Errorf("%d %s, want %d with %s", got.status, got.body, test.status, test.body)
			}
		})
	}
}
