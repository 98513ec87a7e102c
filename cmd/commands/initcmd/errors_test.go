package initcmd

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
)

func TestErrors(t *testing.T) {
	other := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(other.Close)
	for name, c := range map[string]struct {
		args   []string
		status int
		says   string
	}{
		"an upstream with a password":    {[]string{"--upstream", "http://me:" + dbPassword + "@localhost:7091"}, cli.ExitUsage, "--upstream: "},
		"an upstream with a placeholder": {[]string{"--upstream", "http://{env.X}"}, cli.ExitUsage, "--upstream: "},
		"a socket":                       {[]string{"--upstream", "unix//run/x"}, cli.ExitUsage, "Unix socket"},
		"a site with a path":             {[]string{"--site", "ask.example.com/x"}, cli.ExitUsage, "--site: "},
		"two sites":                      {[]string{"--site", "a.example.com, b.example.com"}, cli.ExitUsage, "--site: "},
		"a site that ends the block":     {[]string{"--site", "a{\n}"}, cli.ExitUsage, "--site: "},
		"an unknown feed":                {[]string{"--feed", "file"}, cli.ExitUsage, "--feed: write docsgpt, store, or docsgpt,store"},
		"a password as a flag":           {[]string{"--postgres-uri", "postgresql://me:" + dbPassword + "@localhost/d"}, cli.ExitUsage, uriVariable},
		"a password as a parameter":      {[]string{"--postgres-uri", "postgresql:///d?password=" + dbPassword}, cli.ExitUsage, uriVariable},
		"an invalid database":            {[]string{"--postgres-uri", "mysql://" + dbPassword}, cli.ExitUsage, "--postgres-uri: write"},
		"an unknown folder":              {[]string{"--docsgpt-dir", "nowhere"}, cli.ExitUsage, "--docsgpt-dir: "},
		"a folder without DocsGPT":       {[]string{"--docsgpt-dir", t.TempDir()}, cli.ExitUsage, "contains neither an env file nor a compose file"},
		"another server":                 {[]string{"--upstream", other.URL}, cli.ExitUnreachable, "is not DocsGPT"},
		"an unknown database":            {[]string{"--upstream", "http://127.0.0.1:1", "--feed", "docsgpt"}, cli.ExitUnreachable, "the address of its database is unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			err := e.run(append(c.args, "--output", e.output)...)
			if err == nil || cli.Status(err) != c.status || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("status %d, error %v", cli.Status(err), err)
			}
			if strings.Contains(err.Error(), dbPassword) {
				t.Errorf("the error contains the password: %v", err)
			}
			if _, err := os.Stat(e.output); !os.IsNotExist(err) {
				t.Errorf("the folder of the files was created: %v", err)
			}
		})
	}
}

// A DocsGPT that is configured, but does not run.
func TestNotRunning(t *testing.T) {
	e := newEnv(t)
	e.write("docsgpt/.env", "LLM_NAME=x\nPOSTGRES_URI=postgresql:///d\nDOCSGPT_PORT=1\n")
	err := e.run("--docsgpt-dir", e.docsgpt, "--output", e.output)
	// Another test of this machine may run a DocsGPT on its default port.
	if err != nil && (cli.Status(err) != cli.ExitUnreachable || !strings.Contains(err.Error(), "http://127.0.0.1:1, which ")) {
		t.Errorf("error %v", err)
	}
}

// Existing files remain as they are, and no other file is written.
func TestExistingFiles(t *testing.T) {
	for _, existing := range []string{"Caddyfile", "docsgate.env"} {
		for kind, create := range map[string]func(path string) error{
			"a file": func(path string) error { return os.WriteFile(path, []byte("mine"), 0o600) },
			"a link": func(path string) error { return os.Symlink("nowhere", path) },
		} {
			t.Run(existing+" is "+kind, func(t *testing.T) {
				e := newEnv(t)
				if err := os.MkdirAll(e.output, 0o700); err != nil {
					t.Fatal(err)
				}
				path := filepath.Join(e.output, existing)
				if err := create(path); err != nil {
					t.Fatal(err)
				}
				before, err := os.Lstat(path)
				if err != nil {
					t.Fatal(err)
				}
				check := func(err error) {
					t.Helper()
					if cli.Status(err) != cli.ExitRejected || !strings.Contains(err.Error(), path+" already exists") {
						t.Errorf("status %d, error %v", cli.Status(err), err)
					}
					after, err := os.Lstat(path)
					entries, _ := os.ReadDir(e.output)
					if err != nil || !os.SameFile(before, after) || len(entries) != 1 {
						t.Errorf("%v, files %v", err, entries)
					}
				}
				check(e.run("--upstream", e.address, "--feed", "store", "--output", e.output))
				check(filesIn(e.output).write("new", "new")) // as if it were created in between
			})
		}
	}
}
