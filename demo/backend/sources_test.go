package backend

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
		"an unconfined token":          {false, bearer(tokenAll), 200, `[{"id":"` + alpha + `","name":"alpha.md",`},
		"a token that may only chat":   {false, bearer(tokenAlpha), 403, `"required_scope":"sources:read"`},
		"a token that nobody has":      {false, bearer("dgpt_pat_none"), 401, "invalid_token"},
		"nobody":                       {false, nil, 401, `{"success":false}`},
		"nobody, without any accounts": {true, nil, 200, `"id":"` + beta + `"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, s := start(t, test.open)
			got := send(t, "GET", s.URL+"/api/sources", "", test.header...)
			if got.status != test.status || !strings.Contains(got.body, test.body) {
				t.Errorf("%d %s, want %d with %s", got.status, got.body, test.status, test.body)
			}
		})
	}
}
