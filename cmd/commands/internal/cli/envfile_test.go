package cli

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

// printEnvironment makes the test program print its environment as "caddy environ --envfile FILE" does.
const printEnvironment = "DOCSGATE_TEST_ENVIRON"

func TestMain(m *testing.M) {
	if file := os.Getenv(printEnvironment); file != "" {
		os.Args = []string{"caddy", "environ", "--envfile", file}
		caddycmd.Main() // exits after an error only
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A file has the same meaning as for Caddy's own commands.
func TestEnvFileIsReadAsByCaddy(t *testing.T) {
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"plain":            "T_A=1\nT_B=two words\n\n# T_C=3\nT_D=\n",
		"export":           "export T_A=1\n",
		"repeated":         "T_A=1\nT_A=2\n",
		"comments":         "T_A=1 # one\nT_B=a#b\nT_C='x # y'\n",
		"quotes":           "T_A=\"a b\"\nT_B='c d'\nT_C=\"say \\\"hi\\\" now\"\n",
		"several lines":    "T_A=\"first\nsecond\"\nT_B=after\n",
		"not closed":       "T_A=\"first\nsecond\n",
		"CRLF":             "T_A=1\r\nT_B=2\r\n",
		"equals signs":     "T_A=postgresql://u:p@h/db?sslmode=disable&x=y\n",
		"indented":         "  T_A=1\n",
		"set already":      "PATH=changed\nT_A=1\n",
		"a quoted URI":     "T_A=\"postgresql://u:p%23q@h/db\"\n",
		"no equals sign":   "T_A\n",
		"no name":          "=1\n",
		"space in name":    "T A=1\n",
		"space before":     "T_A= 1\n",
		"a line too long":  "T_A=" + strings.Repeat("x", 70_000) + "\n",
		"NUL in the value": "T_A=a\x00b\n",
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "env")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), program)
			cmd.Env = append(os.Environ(), printEnvironment+"="+file, "GORACE=atexit_sleep_ms=0")
			var output bytes.Buffer
			cmd.Stdout = &output
			caddyErr := cmd.Run()

			for _, name := range []string{"T_A", "T_B", "T_C", "T_D"} { // restored after the test
				t.Setenv(name, "")
				if err := os.Unsetenv(name); err != nil {
					t.Fatal(err)
				}
			}
			path := os.Getenv("PATH")
			err := LoadEnvFiles([]string{file})
			if (err != nil) != (caddyErr != nil) {
				t.Fatalf("%v, Caddy: %v", err, caddyErr)
			}
			if err != nil {
				if strings.Contains(err.Error(), "xxx") {
					t.Errorf("the error contains a value: %v", err)
				}
				return
			}
			if os.Getenv("PATH") != path {
				t.Error("a variable that was set has changed")
			}
			ours := slices.DeleteFunc(os.Environ(), func(v string) bool { return !strings.HasPrefix(v, "T_") })
			for _, v := range ours {
				if !strings.Contains(output.String(), v+"\n") {
					t.Errorf("%q is not in\n%s", v, output.String())
				}
			}
			if theirs := strings.Count("\n"+output.String(), "\nT_"); theirs != len(ours) {
				t.Errorf("%d variables, Caddy has %d", len(ours), theirs)
			}
		})
	}
}

func TestMissingEnvFile(t *testing.T) {
	if err := LoadEnvFiles([]string{"nowhere/env"}); err == nil || !strings.Contains(err.Error(), "--envfile: open nowhere/env") {
		t.Errorf("%v", err)
	}
}
