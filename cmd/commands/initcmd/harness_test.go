package initcmd

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/spf13/cobra"

	_ "github.com/docsgate/docsgate/caddymodule"
	"github.com/docsgate/docsgate/internal/docsgpttest"
	"github.com/docsgate/docsgate/internal/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

const (
	agentKey   = "11111111-0000-4000-8000-00000000000a"
	dbPassword = "password-of-the-database"
)

// env is a machine with a DocsGPT whose settings are in the folder docsgpt.
type env struct {
	t                    *testing.T
	dir, docsgpt, output string
	address              string // of DocsGPT
	out, log             strings.Builder
}

// newEnv returns a machine on which no folder and no variable names a DocsGPT.
func newEnv(t *testing.T) *env {
	t.Helper()
	e := &env{t: t, dir: t.TempDir()}
	e.docsgpt, e.output = filepath.Join(e.dir, "docsgpt"), filepath.Join(e.dir, "gate", "config")
	t.Setenv(uriVariable, "")
	t.Setenv("HOME", e.dir)
	t.Setenv("XDG_DATA_HOME", filepath.Join(e.dir, "data"))
	t.Setenv("XDG_CONFIG_HOME", filepath.Join(e.dir, "config"))
	t.Setenv("DOCSGPT_HOME", "")
	t.Setenv("SUDO_USER", "")
	backend := docsgpttest.New(docsgpttest.Options{Keys: map[string][]string{agentKey: nil}})
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/swagger.json":
			_, _ = io.WriteString(out, `{"info":{"title":"DocsGPT API"},"paths":{"/api/user/tokens":{},"/api/sources/defaults":{}}}`)
		case "/api/config":
			_, _ = io.WriteString(out, `{"auth_type":"oidc","requires_auth":true}`)
		default:
			backend.ServeHTTP(out, r)
		}
	}))
	t.Cleanup(server.Close)
	e.address = server.URL
	return e
}

// write writes a file below the folder of the machine.
func (e *env) write(path, text string) {
	e.t.Helper()
	path = filepath.Join(e.dir, path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		e.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		e.t.Fatal(err)
	}
}

func (e *env) read(path string) string {
	e.t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		e.t.Fatal(err)
	}
	return string(data)
}

// settings writes the settings of a DocsGPT without containers.
func (e *env) settings(postgresURI string) {
	e.t.Helper()
	u, err := url.Parse(e.address)
	if err != nil {
		e.t.Fatal(err)
	}
	e.write("docsgpt/.env", fmt.Sprintf("LLM_NAME=docsgpt\nDOCSGPT_PORT=%s\nPOSTGRES_URI=%s\n", u.Port(), postgresURI))
}

// database creates a database with one agent, and returns its address as DocsGPT has it.
func (e *env) database() string {
	e.t.Helper()
	name := pgtest.Database(e.t)
	for _, file := range []string{"docsgpt-0.17.sql", "docsgpt-1.1.sql"} {
		pgtest.Exec(e.t, name, e.read(filepath.Join("..", "..", "..", "keys", "pgfeed", "testdata", file)))
	}
	pgtest.Exec(e.t, name, fmt.Sprintf("INSERT INTO agents (user_id, name, status, key) VALUES ('local', 'docs', 'published', '%s')", agentKey))
	uri := strings.Replace(pgtest.URI("postgres", name), "postgres@", "postgres:"+dbPassword+"@", 1)
	if !strings.Contains(uri, dbPassword) {
		e.t.Fatalf("the address is %s", uri)
	}
	return strings.Replace(uri, "://", "+psycopg://", 1)
}

// run runs "docsgate init".
func (e *env) run(args ...string) error {
	e.t.Helper()
	e.out.Reset()
	e.log.Reset()
	o := options{program: "docsgate"}
	cmd := &cobra.Command{}
	o.addFlags(cmd.Flags())
	cmd.SetOut(&e.out)
	cmd.SetErr(&e.log)
	cmd.SetIn(strings.NewReader(""))
	if err := cmd.ParseFlags(args); err != nil {
		e.t.Fatal(err)
	}
	return o.run(e.t.Context(), cmd)
}
