package doctor

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
)

// A gate whose keys are restricted to pages has no CORS headers for the origin of a doctor that knows no page.
func TestCORSOfRestrictedKeys(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Origin")
		w.WriteHeader(http.StatusNoContent)
	}))
	defer server.Close()
	for origin, want := range map[string][]Severity{
		anyOrigin:                  {Unknown},
		"https://docs.example.com": {Failure},
	} {
		x := &runner{
			outside: newTarget(server.URL, nil), origin: origin, gate: &Gate{Endpoints: []string{"widget"}},
			corsResponses: []corsResponse{{request: "POST /stream", status: http.StatusUnauthorized, header: http.Header{"Vary": {"Origin"}}}},
			report:        report{Report: Report{Findings: []Finding{}}},
		}
		x.checkCORS(t.Context())
		var got []Severity
		for _, f := range x.Findings {
			got = append(got, f.Severity)
			if f.Severity == Failure && f.Fix != originFix {
				t.Errorf("%s: %+v", origin, f)
			}
		}
		if !slices.Equal(slices.Compact(got), want) {
			t.Errorf("%s: %+v", origin, x.Findings)
		}
	}
}
