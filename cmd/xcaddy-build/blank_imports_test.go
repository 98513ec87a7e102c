package main

import (
	"os"
	"path/filepath"
	"testing"
)

func TestBuilderBundlesPackagesOfReplacedModules(t *testing.T) {
	m, err := ReadManifest(writeManifest(t, goodManifest))
	if err != nil {
		t.Fatal(err)
	}
	scratch := t.TempDir()
	b, err := m.Builder(scratch)
	if err != nil {
		t.Fatal(err)
	}

	plugins := make(map[string]string)
	for _, p := range b.Plugins {
		plugins[p.PackagePath] = p.Version
	}
	if len(plugins) != 2 || plugins["example.com/limits"] != "v1.2.3" || plugins[importModulePath] == "" {
		t.Errorf("plugins are %v, want the released module and the bundle", plugins)
	}
	replaced := make(map[string]string)
	for _, r := range b.Replacements {
		replaced[r.Old.String()] = r.New.String()
	}
	if len(replaced) != 2 || replaced[importModulePath] != scratch || !filepath.IsAbs(replaced["example.com/gate"]) {
		t.Errorf("replacements are %v", replaced)
	}

	for name, want := range map[string]string{
		"go.mod": "module docsgate-bundle.invalid\n\ngo 1.21\n\n" +
			"require example.com/gate v0.0.0-00010101000000-000000000000\n",
		"bundle.go": "package bundle\n\nimport (\n\t_ \"example.com/gate/caddymodule\"\n)\n",
	} {
		got, err := os.ReadFile(filepath.Join(scratch, name))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is\n%s\nwant\n%s", name, got, want)
		}
	}
}

func TestBuilderWithoutReplacementsHasNoBundle(t *testing.T) {
	m := &Manifest{Caddy: "v2.11.9", Modules: []Module{{Package: "example.com/limits", Version: "v1.2.3"}}}
	scratch := t.TempDir()
	b, err := m.Builder(scratch)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Plugins) != 1 || len(b.Replacements) != 0 {
		t.Errorf("builder has plugins %v and replacements %v", b.Plugins, b.Replacements)
	}
	if left, err := os.ReadDir(scratch); err != nil || len(left) != 0 {
		t.Errorf("temporary folder contains %v (%v), want nothing", left, err)
	}
}

func TestPlaceholderVersion(t *testing.T) {
	for module, want := range map[string]string{
		"example.com/gate":     "v0.0.0-00010101000000-000000000000",
		"example.com/gate/v2":  "v2.0.0-00010101000000-000000000000",
		"example.com/gate/v17": "v17.0.0-00010101000000-000000000000",
		"example.com/v2/gate":  "v0.0.0-00010101000000-000000000000",
	} {
		t.Run(module, func(t *testing.T) {
			if got := placeholderVersion(module); got != want {
				t.Errorf("placeholderVersion(%q) = %q, want %q", module, got, want)
			}
		})
	}
}
