package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writeManifest writes text as a manifest to a temporary folder and returns its path.
func writeManifest(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "xcaddy.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const goodManifest = `
caddy = "v2.11.9"
[[module]]
package = "example.com/gate/caddymodule"
[[module]]
package = "example.com/limits"
version = "v1.2.3"
[[replace]]
old = "example.com/gate"
new = "./gate"
`

func TestReadManifest(t *testing.T) {
	path := writeManifest(t, goodManifest)
	m, err := ReadManifest(path)
	if err != nil {
		t.Fatal(err)
	}
	if m.Caddy != "v2.11.9" || len(m.Modules) != 2 || len(m.Replacements) != 1 {
		t.Fatalf("read %+v", m)
	}
	if want := filepath.Join(filepath.Dir(path), "gate"); m.Replacements[0].New != want {
		t.Errorf("replacement folder is %q, want %q, relative to the manifest", m.Replacements[0].New, want)
	}
}

func TestReadManifestErrors(t *testing.T) {
	const module = "[[module]]\npackage = \"example.com/limits\"\nversion = \"v1.2.3\"\n"
	for name, tc := range map[string]struct {
		text string
		want []string // all are in the error
	}{
		"invalid TOML, with the line":        {"caddy = \"v2.11.9\"\n[[module\n", []string{"xcaddy.toml:3: expected"}},
		"unknown key at the top":             {"caddy = \"v2.11.9\"\nplugins = []\n" + module, []string{`unknown key "plugins"`}},
		"unknown key in a module":            {"caddy = \"v2.11.9\"\n" + module + "branch = \"x\"\n", []string{`unknown key "module.branch"`}},
		"no Caddy release":                   {module, []string{`caddy = "": specify a release`}},
		"a branch in place of a release":     {"caddy = \"master\"\n" + module, []string{`caddy = "master"`}},
		"no modules":                         {"caddy = \"v2.11.9\"\n", []string{"no [[module]], so"}},
		"a module with no package":           {"caddy = \"v2.11.9\"\n[[module]]\nversion = \"v1.0.0\"\n", []string{"module 1: needs a package"}},
		"a module twice":                     {"caddy = \"v2.11.9\"\n" + module + module, []string{"module 2: example.com/limits is specified twice"}},
		"a module with no version":           {"caddy = \"v2.11.9\"\n[[module]]\npackage = \"example.com/x\"\n", []string{"example.com/x needs a version"}},
		"a module at latest":                 {"caddy = \"v2.11.9\"\n" + strings.Replace(module, "v1.2.3", "latest", 1), []string{"is not reproducible"}},
		"a version on a replaced module":     {"caddy = \"v2.11.9\"\n" + module + "[[replace]]\nold = \"example.com/limits\"\nnew = \".\"\n", []string{"the version would be ignored"}},
		"a replacement with one side":        {"caddy = \"v2.11.9\"\n" + module + "[[replace]]\nold = \"example.com/x\"\n", []string{"needs both old"}},
		"a replacement folder with no dot":   {"caddy = \"v2.11.9\"\n" + module + "[[replace]]\nold = \"example.com/x\"\nnew = \"x\"\n", []string{"neither a folder"}},
		"a module that only shares a prefix": {"caddy = \"v2.11.9\"\n[[module]]\npackage = \"example.com/gates\"\n[[replace]]\nold = \"example.com/gate\"\nnew = \".\"\n", []string{"example.com/gates needs a version"}},
		"several errors":                     {"wrong = 1\n", []string{"unknown key", "specify a release", "no [[module]]"}},
	} {
		t.Run(name, func(t *testing.T) {
			m, err := ReadManifest(writeManifest(t, tc.text))
			if err == nil {
				t.Fatalf("read %+v, want an error", m)
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not contain %q", err, want)
				}
			}
		})
	}
}

func TestReadManifestMissing(t *testing.T) {
	if _, err := ReadManifest(filepath.Join(t.TempDir(), "none.toml")); !os.IsNotExist(unwrapAll(err)) {
		t.Errorf("error %v is not os.ErrNotExist", err)
	}
}

// unwrapAll returns the innermost error.
func unwrapAll(err error) error {
	for {
		inner, ok := err.(interface{ Unwrap() error })
		if !ok || inner.Unwrap() == nil {
			return err
		}
		err = inner.Unwrap()
	}
}
