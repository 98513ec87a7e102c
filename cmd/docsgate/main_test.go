package main

import (
	"os"
	"os/exec"
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

// run runs docsgate and returns its output and exit status.
func run(t *testing.T, args ...string) (output string, status int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
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
	for _, args := range [][]string{{"upgrade"}, {"upgrade", "--keep-backup"}, {"add-package", "example.com/x"}, {"remove-package", "example.com/x"}} {
		t.Run(args[0], func(t *testing.T) {
			out, status := run(t, args...)
			if status != caddy.ExitCodeFailedStartup || !strings.HasPrefix(out, "Error: ") || strings.Count(out, "\n") != 1 || !strings.Contains(out, "download server") {
				t.Errorf("exit status %d, %s", status, out)
			}
		})
	}
}
