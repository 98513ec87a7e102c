package initcmd

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/docsgpt/discovery"
	"github.com/docsgate/docsgate/internal/testprocess"
)

// The written files are a gate that accepts the keys of DocsGPT, and contain the password of the database only where they may.
func TestInit(t *testing.T) {
	e := newEnv(t)
	e.settings(e.database())
	port, err := testprocess.FreePort()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.run("--docsgpt-dir", e.docsgpt, "--site", "http://localhost:"+port, "--output", e.output); err != nil {
		t.Fatal(err)
	}
	config, secret := filepath.Join(e.output, "Caddyfile"), filepath.Join(e.output, "docsgate.env")
	text := e.read(config)
	if formatted := string(caddyfile.Format([]byte(text))); formatted != text {
		t.Errorf("\"docsgate fmt\" changes the Caddyfile to\n%s", formatted)
	}
	for what, printed := range map[string]string{"Caddyfile": text, "output": e.out.String(), "log": e.log.String()} {
		if strings.Contains(printed, dbPassword) {
			t.Errorf("the password is in the %s:\n%s", what, printed)
		}
	}
	if env := e.read(secret); !strings.Contains(env, uriVariable+`="postgres`) || !strings.Contains(env, dbPassword) {
		t.Errorf("the env file is %s", env)
	}
	if info, err := os.Stat(secret); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the env file is readable for others: %v, %v", info.Mode(), err)
	}
	for _, want := range []string{
		"The configuration " + config + " loads", "has 1 key", "docsgate run --config " + config + " --envfile " + secret,
		"curl http://localhost:" + port + "/api/answer", `apiHost: "http://localhost:` + port + `"`, "docsgate keys create", "1.1",
	} {
		if !strings.Contains(e.out.String()+e.log.String(), want) {
			t.Errorf("the output does not contain %q:\n%s", want, e.out.String())
		}
	}
	for _, unwanted := range []string{"failure", "without a result", "config.running"} {
		if strings.Contains(e.out.String(), unwanted) {
			t.Errorf("the doctor reports %q:\n%s", unwanted, e.out.String())
		}
	}

	e.load(text)
	console := regexp.MustCompile(`http://localhost:(\d+) \{\n\tbind`).FindStringSubmatch(text)
	if console == nil {
		t.Fatalf("no console in\n%s", text)
	}
	for url, want := range map[string]int{"http://localhost:" + console[1]: http.StatusOK, "http://127.0.0.1:" + console[1]: http.StatusMisdirectedRequest} {
		resp, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != want {
			t.Errorf("%s: status %d", url, resp.StatusCode)
		}
	}
	for key, want := range map[string]int{agentKey: http.StatusOK, "another": http.StatusUnauthorized} {
		body := strings.NewReader(fmt.Sprintf(`{"question": "Q", "api_key": %q}`, key))
		resp, err := http.Post("http://localhost:"+port+"/api/answer", "application/json", body)
		if err != nil {
			t.Fatal(err)
		}
		answer, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("key %s: status %d, %s", key, resp.StatusCode, answer)
		}
	}
}

// load runs a configuration in this process, except for the admin endpoint, whose address other tests may use.
func (e *env) load(text string) {
	e.t.Helper()
	adapted, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), nil)
	if err != nil || len(warnings) > 0 {
		e.t.Fatal(err, warnings)
	}
	var config map[string]any
	if err := json.Unmarshal(adapted, &config); err != nil {
		e.t.Fatal(err)
	}
	config["admin"] = map[string]any{"disabled": true, "config": map[string]any{"persist": false}}
	config["storage"] = map[string]any{"module": "file_system", "root": filepath.Join(e.dir, "storage")}
	if adapted, err = json.Marshal(config); err != nil {
		e.t.Fatal(err)
	}
	if err := caddy.Load(adapted, true); err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() { _ = caddy.Stop() })
}

// Without a reachable database the gate has a store, and the output says why.
func TestInitWithoutDatabase(t *testing.T) {
	for name, c := range map[string]struct{ uri, says string }{
		"nothing listens": {"postgresql://docsgpt:" + dbPassword + "@127.0.0.1:1/docsgpt", "does not accept connections"},
		"malformed":       {"docsgpt:" + dbPassword, "is not valid"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			e.settings(c.uri)
			if err := e.run("--docsgpt-dir", e.docsgpt, "--output", e.output); err != nil {
				t.Fatal(err)
			}
			if log := e.log.String(); !strings.Contains(log, c.says) || strings.Contains(log, dbPassword) {
				t.Errorf("log: %s", log)
			}
			if text := e.read(filepath.Join(e.output, "Caddyfile")); strings.Contains(text, "feed docsgpt") || !strings.Contains(text, "feed store") {
				t.Errorf("Caddyfile: %s", text)
			}
			if _, err := os.Stat(filepath.Join(e.output, "docsgate.env")); !os.IsNotExist(err) {
				t.Errorf("an env file without variables was written: %v", err)
			}
			if !strings.Contains(e.out.String(), "--agent-key-stdin") {
				t.Errorf("output: %s", e.out.String())
			}
		})
	}
}

// A database that the gate must not use is found before anything is written.
func TestInvalidConfiguration(t *testing.T) {
	e := newEnv(t)
	t.Setenv(uriVariable, "postgresql://docsgpt:"+dbPassword+"@db.invalid/docsgpt?sslmode=disable")
	err := e.run("--upstream", e.address, "--feed", "docsgpt", "--output", e.output)
	if err == nil || cli.Status(err) != cli.ExitFailed || !strings.HasPrefix(err.Error(), "the new configuration does not load, so it was not written: feed docsgpt: ") {
		t.Errorf("error %v", err)
	}
	if err != nil && strings.Contains(err.Error(), dbPassword) {
		t.Errorf("the error contains the password: %v", err)
	}
	if _, err := os.Stat(e.output); !os.IsNotExist(err) {
		t.Errorf("the folder of the files was created: %v", err)
	}
}

// "docsgpt up" does not publish its database.
func TestInitUnpublishedDatabase(t *testing.T) {
	e := newEnv(t)
	port := e.address[strings.LastIndex(e.address, ":")+1:]
	e.write("docsgpt/docker-compose.yaml", `services:
  backend:
    environment: ["POSTGRES_URI=postgresql://docsgpt:`+dbPassword+`@postgres:5432/docsgpt"]
    ports: ["127.0.0.1:`+port+`:7091"]
  postgres: {image: postgres}
`)
	if err := e.run("--docsgpt-dir", e.docsgpt, "--output", e.output, "--dry-run"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"does not publish a port of the database, its service postgres", "docs/container.md"} {
		if !strings.Contains(e.log.String(), want) {
			t.Errorf("the log does not contain %q: %s", want, e.log.String())
		}
	}
	err := e.run("--docsgpt-dir", e.docsgpt, "--output", e.output, "--feed", "docsgpt")
	if cli.Status(err) != cli.ExitUnreachable || !strings.Contains(err.Error(), "service postgres") {
		t.Errorf("error %v", err)
	}

	// The output says how to publish it. Written as it says, that is found.
	if err := e.run("--docsgpt-dir", e.docsgpt, "--output", e.output); err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?s)Write this to (\S+):\n(.*\n)   Then run`).FindStringSubmatch(e.out.String())
	if found == nil {
		t.Fatalf("output: %s", e.out.String())
	}
	if err := os.WriteFile(found[1], []byte(found[2]), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := discovery.ReadFolder(e.docsgpt); err != nil || s.Database.URI != "postgresql://docsgpt:"+dbPassword+"@127.0.0.1:5432/docsgpt" {
		t.Errorf("got %+v, %v", s, err)
	}
	if overrideFile(&discovery.Settings{Dir: e.docsgpt, File: filepath.Join(e.docsgpt, "docker-compose.yaml"), Database: discovery.Database{Service: "postgres"}}) != "" {
		t.Error("an existing file would be overwritten")
	}
}

// A dry run prints only the Caddyfile to standard output, and writes nothing.
func TestDryRun(t *testing.T) {
	e := newEnv(t)
	t.Setenv(uriVariable, strings.Replace(e.database(), "+psycopg", "", 1))
	if err := e.run("--upstream", e.address, "--site", "ask.example.com", "--output", e.output, "--dry-run"); err != nil {
		t.Fatal(err)
	}
	out := e.out.String()
	if string(caddyfile.Format([]byte(out))) != out || !strings.Contains(out, "\nask.example.com {\n") {
		t.Errorf("standard output: %s", out)
	}
	if strings.Contains(out+e.log.String(), dbPassword) || !strings.Contains(e.log.String(), "xxxxx@") {
		t.Errorf("log: %s", e.log.String())
	}
	if entries, err := os.ReadDir(e.dir); err != nil || len(entries) > 0 {
		t.Errorf("files: %v, %v", entries, err)
	}
}
