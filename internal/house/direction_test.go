package house

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/docsgate/docsgate"

// caddys are the modules that only caddymodule, cmd and demo may reach, even through others.
var caddys = []string{"github.com/caddyserver", "go.uber.org/zap", "github.com/prometheus"}

// rooms says for each room what its packages may not use, their tests aside.
var rooms = map[string]struct {
	// reach may not be used even through others. Rooms of this module are named without its path; what lies below a
	// named package counts as well.
	reach []string

	// imports are packages that other packages may use, but the room itself may not.
	imports []string
}{
	"keys":        {reach: slices.Concat(caddys, []string{"docsgpt", "forward", "caddymodule"}), imports: []string{"net/http"}},
	"docsgpt":     {reach: slices.Concat(caddys, []string{"keys", "caddymodule"}), imports: []string{"encoding/json"}},
	"forward":     {reach: slices.Concat(caddys, []string{"keys", "caddymodule"})},
	"policy":      {reach: slices.Concat(caddys, []string{"caddymodule"})},
	"console":     {reach: slices.Concat(caddys, []string{"docsgpt", "forward", "policy", "caddymodule"})},
	"doctor":      {reach: slices.Concat(caddys, []string{"keys", "caddymodule"})},
	"caddymodule": {reach: []string{"cmd", "demo"}},
}

// pkg is what `go list -json` tells about a package.
type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Module     *struct{ Path string }
}

// listPackages returns the module's packages by import path.
func listPackages(t *testing.T) map[string]pkg {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Imports,Deps,Module", "./...")
	cmd.Dir = root(t)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("listing packages: %v\n%s", err, stderr.Bytes())
	}
	found := make(map[string]pkg)
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("reading the list of packages: %v", err)
		}
		if p.Module != nil && p.Module.Path == module {
			found[p.ImportPath] = p
		}
	}
	return found
}

// within tells whether the package path is dir or below it.
func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

func TestDependencyDirection(t *testing.T) {
	packages := listPackages(t)
	for room, banned := range rooms {
		t.Run(room+" uses only what it may", func(t *testing.T) {
			members := 0
			for path, p := range packages {
				if !within(path, module+"/"+room) {
					continue
				}
				members++
				for _, ban := range banned.reach {
					for _, dep := range p.Deps {
						if within(dep, ban) || within(dep, module+"/"+ban) {
							t.Errorf("%s reaches %s", path, dep)
						}
					}
				}
				for _, ban := range banned.imports {
					if slices.Contains(p.Imports, ban) {
						t.Errorf("%s imports %s", path, ban)
					}
				}
			}
			if members == 0 {
				t.Errorf("no package in %s/: if the room is gone, remove it here and in .golangci.yml", room)
			}
		})
	}
}

func TestNothingImportsCommands(t *testing.T) {
	for path, p := range listPackages(t) {
		for _, dep := range p.Imports {
			if within(dep, module+"/cmd") && !within(path, module+"/cmd") {
				t.Errorf("%s imports %s, but cmd is the outermost room", path, dep)
			}
		}
	}
}
