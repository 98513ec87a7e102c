package doctorcmd

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/docsgate/docsgate/doctor"
)

// The doctor checks each DocsGPT with the credential and the version of its backend.
func TestBackendsHaveTheirOwnCredentials(t *testing.T) {
	const supportToken = "dgpt_pat_test-support"
	e := newEnv(t)
	e.noServer()
	e.tokens = map[string][]string{ownerAccessToken: nil}
	e.credential("", listing(`{"name":"memory","status":true,"in_chat":false}`))
	t.Setenv("DOCTOR_SUPPORT", supportToken)
	var mu sync.Mutex // guards seen
	var seen []string
	support := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.Header.Get("Authorization"))
		mu.Unlock()
		switch r.URL.Path {
		case "/swagger.json":
			describedAs("/api/user/tokens", "/api/sources/defaults")(out, r)
		case "/api/get_tools":
			sendJSON(out, `{"success":true,"tools":[{"name":"search_of_support","status":true,"in_chat":true}]}`)
		default:
			http.NotFound(out, r)
		}
	}))
	t.Cleanup(support.Close)
	e.global = fmt.Sprintf("docsgate support {\nfeed store\nupstream_token {env.DOCTOR_SUPPORT}\n}\ndocsgate unused {\nfeed file %s\n}",
		e.path("keys.yaml"))
	t.Setenv("XDG_DATA_HOME", e.path("data"))
	e.more = fmt.Sprintf("http://:%s {\n%s\ndocsgate %s {\nbackend support\n}\n}", e.free(), e.bind, support.URL)
	e.start()
	findings, err := e.examine()
	if err == nil {
		t.Error("no failure")
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Contains(seen, "Bearer "+supportToken) || slices.Contains(seen, "Bearer "+ownerAccessToken) {
		t.Errorf("the second DocsGPT got %q", seen)
	}
	for _, want := range []struct {
		id       string
		severity doctor.Severity
		text     string
	}{
		{"docsgpt.tools", doctor.Failure, "search_of_support"},
		{"config.backends", doctor.Warning, "the backend unused"},
	} {
		if !slices.ContainsFunc(findings, func(f doctor.Finding) bool {
			return f.ID == want.id && f.Severity == want.severity && strings.Contains(f.Summary, want.text)
		}) {
			t.Errorf("no %s in %+v", want.id, findings)
		}
	}
	if _, err := os.Stat(e.path("data/caddy/docsgate/support/keys.db")); err == nil {
		t.Error("the doctor has created a store")
	}
}
