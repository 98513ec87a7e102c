package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// TestMain lets the test binary run as docsgate itself.
func TestMain(m *testing.M) {
	if os.Getenv("DOCSGATE_TEST_MAIN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// self is the test binary, whose path may be relative.
var self, _ = filepath.Abs(os.Args[0])

// run runs docsgate and returns its output and exit status.
func run(t *testing.T, args ...string) (output string, status int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Env = append(os.Environ(), "DOCSGATE_TEST_MAIN=1", "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func TestVersion(t *testing.T) {
	out, status := run(t, "version")
	if !regexp.MustCompile(`^docsgate (v\d\S+|devel\S*), Caddy v2\.\S+`).MatchString(out) || status != 0 {
		t.Errorf("exit status %d, %s", status, out)
	}
}

func TestUnsupportedCommands(t *testing.T) {
	for _, args := range [][]string{
		{"upgrade"}, {"upgrade", "--keep-backup"}, {"help", "upgrade"}, {"add-package", "example.com/x"}, {"remove-package", "example.com/x"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			out, status := run(t, args...)
			if status != caddy.ExitCodeFailedStartup || !strings.HasPrefix(out, "Error: ") || strings.Count(out, "\n") != 1 || !strings.Contains(out, "download server") {
				t.Errorf("exit status %d, %s", status, out)
			}
		})
	}
}

// The last line of a command that fails says what is wrong and what to do, after Caddy's own line of JSON.
func TestStartErrors(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	used := listener.Addr().String()
	config := func(feed, site string) string {
		return fmt.Sprintf("{\n\tadmin off\n\tpersist_config off\n\tdocsgate {\n\t\tfeed %s\n\t}\n}\n\n%s {\n\tdocsgate localhost:7091\n}\n", feed, site)
	}
	unused, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("CADDY_ADMIN", unused.Addr().String()) // not the default, where another process may listen
	if err := unused.Close(); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	const start, invalid = "docsgate did not start: ", "The configuration is not valid: "
	for _, c := range []struct{ name, command, config, want string }{
		{"a missing variable", "run", config("docsgpt {env.DOCSGATE_TEST_NOT_SET}", "http://127.0.0.1:0"), start + "the environment variable DOCSGATE_TEST_NOT_SET is not set. Set it"},
		{"the same", "validate", config("docsgpt {env.DOCSGATE_TEST_NOT_SET}", "http://127.0.0.1:0"), invalid + "the environment variable DOCSGATE_TEST_NOT_SET is not set. Set it"},
		{"the same at start", "start", config("docsgpt {env.DOCSGATE_TEST_NOT_SET}", "http://127.0.0.1:0"), start + "its process has ended. The reason is above."},
		{"a missing key file", "run", config("file nowhere.yaml", "http://127.0.0.1:0"), start + "feed file:nowhere.yaml: nowhere.yaml: the file does not exist: create it"},
		{"an address in use", "run", config("store", "http://"+used), start + "another process ("},
		{"a typing error", "run", config("shop", "http://127.0.0.1:0"), start + "parsing caddyfile tokens for 'docsgate': "},
		{"no configuration", "run", "", start + "the file Caddyfile does not exist."},
		{"no process", "reload", config("store", "http://127.0.0.1:0"), "The configuration was not loaded: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if c.config != "" {
				if err := os.WriteFile("Caddyfile", []byte(c.config), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			out, status := run(t, c.command, "--config", "Caddyfile")
			lines := strings.Split(strings.TrimSpace(out), "\n")
			if last := lines[len(lines)-1]; status == 0 || !strings.HasPrefix(last, c.want) || !strings.HasSuffix(last, ".") {
				t.Errorf("exit status %d; the last line is %s", status, last)
			}
		})
	}
}
