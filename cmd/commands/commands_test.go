package commands

import (
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/rogpeppe/go-internal/testscript"

	_ "github.com/docsgate/docsgate/caddymodule"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"docsgate": caddycmd.Main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home")) // Caddy keeps its files below it
			env.Setenv("XDG_DATA_HOME", filepath.Join(env.WorkDir, "data"))
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, "config"))
			// Else each command that the race detector watches waits a second before it ends.
			env.Setenv("GORACE", strings.TrimSpace(os.Getenv("GORACE")+" atexit_sleep_ms=0"))
			port, err := freePort()
			env.Setenv("PORT", port)
			// Where Caddy's commands look if nobody says: no gate of this machine is to be found by mistake.
			env.Setenv("CADDY_ADMIN", "127.0.0.1:"+port)
			return err
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"status": scriptStatus, "await": scriptAwait, "listens": scriptListens, "capture": scriptCapture,
			"mode": scriptMode,
		},
	})
}

// freePort returns a port of the loopback interface that nobody listens on, and that nobody gets by chance until it is used:
// it is below those that a system gives to whom asks for any, and no other caller gets it.
func freePort() (string, error) {
	for range 1000 {
		port := strconv.Itoa(12_000 + rand.IntN(20_000))
		if _, given := givenPorts.LoadOrStore(port, true); given {
			continue
		}
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			return port, l.Close()
		}
	}
	return "", errors.New("no free port found")
}

var givenPorts sync.Map

// scriptStatus is "status N command...": runs a command that must exit with that status.
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

// scriptAwait is "await COMMAND...": runs a command until it succeeds.
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

// scriptListens is "listens ADDRESS": waits until something listens there.
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

// scriptCapture is "capture VARIABLE FILE PATTERN": the first group that the pattern finds in a file becomes a variable.
func scriptCapture(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(args[2]).FindStringSubmatch(ts.ReadFile(args[1]))
	if len(found) != 2 {
		ts.Fatalf("%s does not hold %s", args[1], args[2])
	}
	ts.Setenv(args[0], found[1])
}

// scriptMode is "mode PERMISSIONS FILE": a file has these permissions.
func scriptMode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := strconv.FormatUint(uint64(info.Mode().Perm()), 8); got != args[0] {
		ts.Fatalf("permissions %s, not %s", got, args[0])
	}
}

func TestReadToken(t *testing.T) {
	long := strings.Repeat("x", maxTokenBytes)
	for _, c := range []struct{ name, in, token, fault string }{
		{"with a line end", "dgk_a\n", "dgk_a", ""},
		{"with a line end of Windows", "dgk_a\r\n", "dgk_a", ""},
		{"without a line end", "dgk_a", "dgk_a", ""},
		{"any printable character", "!\"'\\~\n", "!\"'\\~", ""},
		{"the longest", long + "\r\n", long, ""},
		{"nothing", "", "", "no token"},
		{"only a line end", "\n", "", "no token"},
		{"two lines", "dgk_a\ndgk_b\n", "", "more than one line"},
		{"two line ends", "dgk_a\n\n", "", "more than one line"},
		{"carriage return inside", "dgk_a\rb\n", "", "more than one line"},
		{"too long", long + "y", "", "longer than 512 bytes"},
		{"much too long", strings.Repeat(long, 3), "", "longer than 512 bytes"},
		{"blank in front", " dgk_a\n", "", "space"},
		{"tab inside", "dgk\ta\n", "", "space"},
		{"not ASCII", "dgk_é\n", "", "ASCII"},
		{"NUL", "dgk_\x00\n", "", "ASCII"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var prompt strings.Builder
			token, err := readToken(strings.NewReader(c.in), &prompt)
			if token != c.token || (err == nil) != (c.fault == "") || err != nil && !strings.Contains(err.Error(), c.fault) {
				t.Errorf("token %q, error %v", token, err)
			}
			if err != nil && strings.Contains(err.Error(), "dgk") {
				t.Errorf("the error repeats what was read: %v", err)
			}
			if prompt.Len() > 0 {
				t.Errorf("a pipe is asked: %q", prompt.String())
			}
		})
	}
}
