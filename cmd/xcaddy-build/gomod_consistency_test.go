package main

import (
	"bytes"
	"encoding/json"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// goMod is the output of `go mod edit -json`.
type goMod struct {
	Module  struct{ Path string }
	Require []struct{ Path, Version string }
	Replace []goModReplace
}

type goModReplace struct {
	Old, New struct{ Path, Version string }
}

// readGoMod reads the go.mod in dir.
func readGoMod(t *testing.T, dir string) goMod {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "edit", "-json")
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("reading go.mod: %v\n%s", err, stderr.Bytes())
	}
	var mod goMod
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatalf("reading go.mod: %v", err)
	}
	return mod
}

// version returns the required version of the module that contains pkg, or "" if it is not required.
func (m goMod) version(pkg string) string {
	for _, r := range m.Require {
		if pkg == r.Path || strings.HasPrefix(pkg, r.Path+"/") {
			return r.Version
		}
	}
	return ""
}

// top is the folder of the project's manifest and go.mod.
var top = filepath.Join("..", "..")

func projectManifest(t *testing.T) *Manifest {
	t.Helper()
	m, err := ReadManifest(filepath.Join(top, "xcaddy.toml"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestManifestMatchesGoMod(t *testing.T) {
	manifest, mod := projectManifest(t), readGoMod(t, top)

	if want := mod.version("github.com/caddyserver/caddy/v2"); manifest.Caddy != want {
		t.Errorf("xcaddy.toml builds Caddy %s, go.mod requires %s", manifest.Caddy, want)
	}
	for _, m := range manifest.Modules {
		want := mod.version(m.Package)
		if m.Version != "" && want != "" && m.Version != want {
			t.Errorf("xcaddy.toml has %s at %s, go.mod requires %s", m.Package, m.Version, want)
		}
	}

	here, err := filepath.Abs(top)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(manifest.Replacements, Replacement{Old: mod.Module.Path, New: here}) {
		t.Errorf("xcaddy.toml does not replace %s, go.mod's module, with this folder: it would build a release", mod.Module.Path)
	}
	for _, r := range mod.Replace {
		if !slices.ContainsFunc(manifest.Replacements, func(m Replacement) bool { return m.Old == r.Old.Path }) {
			t.Errorf("go.mod replaces %s, xcaddy.toml does not", r.Old.Path)
		}
	}
	for _, r := range manifest.Replacements {
		inGoMod := slices.ContainsFunc(mod.Replace, func(g goModReplace) bool { return g.Old.Path == r.Old })
		if r.Old != mod.Module.Path && !inGoMod {
			t.Errorf("xcaddy.toml replaces %s, go.mod does not", r.Old)
		}
	}
}

// Both builds must contain the same modules: cmd/docsgate by its imports, xcaddy by its manifest.
func TestManifestMatchesCommand(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(top, "cmd", "docsgate", "main.go"), nil,
		parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var imported []string
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		// xcaddy adds Caddy's standard modules automatically.
		if spec.Name != nil && spec.Name.Name == "_" && !strings.HasPrefix(path, "github.com/caddyserver/caddy/v2/") {
			imported = append(imported, path)
		}
	}
	var named []string
	for _, m := range projectManifest(t).Modules {
		named = append(named, m.Package)
	}
	slices.Sort(imported)
	slices.Sort(named)
	if !slices.Equal(imported, named) {
		t.Errorf("cmd/docsgate imports %v, xcaddy.toml lists %v", imported, named)
	}
}
