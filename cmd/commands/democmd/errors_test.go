package democmd

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
)

// A demo that cannot start returns an error that says what to do and contains no secret, and leaves no files.
func TestErrors(t *testing.T) {
	t.Setenv("TEST_AGENT_KEY", "some-agent-key")
	t.Setenv("TEST_EMPTY", "")
	const unused = "127.0.0.1:1"
	noDocsGPT := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(noDocsGPT.Close)
	for _, c := range []struct {
		name string
		o    options
		want string
	}{
		{"no address", options{listen: "nowhere"}, "--listen: write host:port"},
		{"no port for the page", options{page: "127.0.0.1:99999"}, "--page-listen: write host:port"},
		{"source without DocsGPT", options{source: handbookID}, "require --docsgpt"},
		{"no binding", options{docsgpt: unused, agentKeyEnv: "TEST_EMPTY"}, "environment variable TEST_EMPTY (--agent-key-env takes another name)"},
		{"no source id", options{docsgpt: unused, source: "nope"}, "--source: "},
		{"no token", options{docsgpt: unused, source: handbookID}, "needs --upstream-token-env"},
		{"empty token", options{docsgpt: unused, source: handbookID, upstreamTokenEnv: "TEST_EMPTY"}, "TEST_EMPTY is empty"},
		{"token without a source", options{docsgpt: unused, upstreamTokenEnv: "TEST_AGENT_KEY"}, "requires --source"},
		{"address with a path", options{docsgpt: "http://" + unused + "/path"}, "without a path"},
		{"address with a password", options{docsgpt: "http://name:hunter2@" + unused}, "without a name or password"},
		{"address of another protocol", options{docsgpt: "ftp://" + unused}, "http://host:port"},
		{"nothing listens", options{docsgpt: unused}, "DocsGPT does not respond at http://127.0.0.1:1: "},
		{"another server", options{docsgpt: noDocsGPT.URL}, "/api/health has status 404"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := t.TempDir()
			t.Setenv("TMPDIR", files)
			if c.o.listen == "" {
				c.o.listen = "127.0.0.1:0"
			}
			if c.o.agentKeyEnv == "" {
				c.o.agentKeyEnv = "TEST_AGENT_KEY"
			}
			d, err := startDemo(t.Context(), c.o)
			if err == nil {
				d.close()
				t.Fatal("the demo started")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v\nwant %s", err, c.want)
			}
			if strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "some-agent-key") {
				t.Errorf("the error contains a secret: %v", err)
			}
			if left, _ := os.ReadDir(files); len(left) > 0 {
				t.Errorf("files left: %v", left)
			}
		})
	}
}

func TestPortInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() })
	files := t.TempDir()
	t.Setenv("TMPDIR", files)
	for flag, o := range map[string]options{
		"--listen":      {listen: taken.Addr().String(), page: "127.0.0.1:0"},
		"--page-listen": {listen: "127.0.0.1:0", page: taken.Addr().String()},
	} {
		d, err := startDemo(t.Context(), o)
		if err == nil {
			d.close()
			t.Fatalf("%s: started on a taken port", flag)
		}
		if want := "the address " + taken.Addr().String() + " is already in use: choose another with " + flag; !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", flag, err)
		}
	}
	if left, _ := os.ReadDir(files); len(left) > 0 {
		t.Errorf("files left: %v", left)
	}
}
