package commands

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/rogpeppe/go-internal/testscript"

	_ "github.com/docsgate/docsgate/caddymodule"
	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/internal/testprocess"
)

func TestMain(m *testing.M) {
	testscript.Main(withPostgres{m}, map[string]func(){"docsgate": caddycmd.Main})
}

// withPostgres runs the tests with a PostgreSQL server.
type withPostgres struct{ *testing.M }

func (m withPostgres) Run() int { return pgtest.Main(m.M) }

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home")) // Caddy keeps its files below it
			env.Setenv("XDG_DATA_HOME", filepath.Join(env.WorkDir, "data"))
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, "config"))
			// Otherwise each command with the race detector sleeps a second before it exits.
			env.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
			port, err := testprocess.FreePort()
			env.Setenv("PORT", port)
			// The default address of Caddy's commands, so that they do not find another gate on this machine.
			env.Setenv("CADDY_ADMIN", "127.0.0.1:"+port)
			return err
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status": scriptStatus, "await": scriptAwait, "listens": scriptListens, "capture": scriptCapture,
			"mode": scriptMode,
			// "database VARIABLE" creates a database of PostgreSQL and sets a variable to its address.
			"database": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Setenv(args[0], pgtest.URI("postgres", pgtest.Database(t)))
			},
			// "readonly VARIABLE" makes the database read-only for new connections.
			"readonly": func(ts *testscript.TestScript, _ bool, args []string) {
				name, _, _ := strings.Cut(path.Base(ts.Getenv(args[0])), "?")
				pgtest.Exec(t, "postgres", "ALTER DATABASE "+name+" SET default_transaction_read_only = on;"+
					"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+name+"'")
			},
		},
	})
}

// scriptStatus implements "status N COMMAND...": runs a command that must exit with that status.
func scriptStatus(ts *testscript.TestScript, _ bool, args []string) {
	status := 0
	err := ts.Exec(args[1], args[2:]...)
	if exited := (*exec.ExitError)(nil); errors.As(err, &exited) {
		status = exited.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if want := args[0]; strconv.Itoa(status) != want {
		ts.Fatalf("exit status %d, not %s", status, want)
	}
}

// scriptAwait implements "await COMMAND...": repeats a command until it succeeds.
func scriptAwait(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		err := ts.Exec(args[0], args[1:]...)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("in vain: %v", err)
		}
	}
}

// scriptListens implements "listens ADDRESS": waits until the address accepts connections.
func scriptListens(ts *testscript.TestScript, _ bool, args []string) {
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", args[0])
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("nothing listens: %v", err)
		}
	}
}

// scriptCapture implements "capture VARIABLE FILE PATTERN": sets a variable to the first group of the pattern's match in a file.
func scriptCapture(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(args[2]).FindStringSubmatch(ts.ReadFile(args[1]))
	if len(found) != 2 {
		ts.Fatalf("%s does not hold %s", args[1], args[2])
	}
	ts.Setenv(args[0], found[1])
}

// scriptMode implements "mode PERMISSIONS FILE": checks the permissions of a file.
func scriptMode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := strconv.FormatUint(uint64(info.Mode().Perm()), 8); got != args[0] {
		ts.Fatalf("permissions %s, not %s", got, args[0])
	}
}
