package docsgpt

import (
	"slices"
	"strings"
	"testing"
)

func TestKnownPath(t *testing.T) {
	const id = "7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10"
	for path, want := range map[string]string{
		"/stream":                              "/stream",
		"//stream":                             "/stream",
		"/v1//chat///completions":              "/v1/chat/completions",
		"/mcp":                                 "/mcp/",
		"/mcp/":                                "/mcp/",
		"/v1/responses":                        "/v1/responses",
		"/api/artifacts/" + id:                 "/api/artifacts/{uuid}",
		"/api/artifacts/" + id + "/versions/3": "/api/artifacts/{uuid}/versions/{number}",
		"/api/artifacts/canary":                "",
		"/stream/":                             "",
		"/stream/canary":                       "",
		"/Stream":                              "",
		"stream":                               "",
		"":                                     "",
		"/":                                    "",
		strings.Repeat("/", maxKnownPath) + "stream": "",
	} {
		if got, ok := KnownPath(path); got != want || ok != (want != "") {
			t.Errorf("%.80q: got %q, %v", path, got, ok)
		}
	}
}

func TestKnownParams(t *testing.T) {
	names := KnownParams()
	if !slices.IsSorted(names) || !slices.Contains(names, "task_id") || slices.Contains(names, "api_key") {
		t.Errorf("got %q", names)
	}
}
