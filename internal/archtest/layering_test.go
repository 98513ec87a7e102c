package archtest

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

// caddyModules are the modules that only caddymodule, cmd and demo may depend on, directly or indirectly.
var caddyModules = []string{"github.com/caddyserver", "go.uber.org/zap", "github.com/prometheus"}

// layers lists the forbidden dependencies of each layer's packages. Tests are exempt.
var layers = map[string]struct {
	// reach are packages that the layer must not depend on, directly or indirectly, including packages below them. Layers of
	// this module are listed without the module path.
	reach []string

	// imports are packages that the layer must not import, but may depend on indirectly.
	imports []string
}{
	"keys":         {reach: slices.Concat(caddyModules, []string{"docsgpt", "upstream", "caddymodule"}), imports: []string{"net/http"}},
	"docsgpt":      {reach: slices.Concat(caddyModules, []string{"keys", "caddymodule"}), imports: []string{"encoding/json"}},
	"upstream":     {reach: slices.Concat(caddyModules, []string{"keys", "caddymodule"})},
	"ownership":    {reach: slices.Concat(caddyModules, []string{"caddymodule"})},
	"bodyquota":    {reach: slices.Concat(caddyModules, []string{"keys", "docsgpt", "upstream", "caddymodule"}), imports: []string{"net/http"}},
	"inflight":     {reach: slices.Concat(caddyModules, []string{"keys", "docsgpt", "upstream", "caddymodule"}), imports: []string{"net/http"}},
	"ratelimit":    {reach: slices.Concat(caddyModules, []string{"keys", "docsgpt", "upstream", "caddymodule"}), imports: []string{"net/http"}},
	"sharedlimits": {reach: slices.Concat(caddyModules, []string{"keys", "docsgpt", "upstream", "caddymodule"}), imports: []string{"net/http"}},
	"visitortoken": {reach: slices.Concat(caddyModules, []string{"keys", "docsgpt", "upstream", "caddymodule"}), imports: []string{"net/http"}},
	"console":      {reach: slices.Concat(caddyModules, []string{"docsgpt", "upstream", "ownership", "caddymodule"})},
	"doctor":       {reach: slices.Concat(caddyModules, []string{"keys", "caddymodule"})},
	"caddymodule":  {reach: []string{"cmd", "demo"}},

	// The subcommands share only what is in cmd/commands/internal.
	"cmd/commands/keyscmd":   {reach: []string{"cmd/commands/doctorcmd", "cmd/commands/democmd", "doctor", "demo"}},
	"cmd/commands/doctorcmd": {reach: []string{"cmd/commands/keyscmd", "cmd/commands/democmd", "demo"}},
	"cmd/commands/democmd":   {reach: []string{"cmd/commands/keyscmd", "cmd/commands/doctorcmd", "doctor"}},
	"cmd/commands/internal":  {reach: []string{"cmd/commands/keyscmd", "cmd/commands/doctorcmd", "cmd/commands/democmd", "doctor", "demo"}},

	"caddymodule/app":           {reach: []string{"caddymodule/gateway", "caddymodule/admin"}},
	"caddymodule/gateway":       {reach: []string{"caddymodule/admin"}},
	"caddymodule/admin":         {reach: []string{"caddymodule/gateway"}},
	"caddymodule/lifecycle":     {reach: []string{"caddymodule/app", "keys"}},
	"caddymodule/placeholder":   {reach: []string{"caddymodule/app"}},
	"caddymodule/caddyfileutil": {reach: []string{"caddymodule/app"}},
	"caddymodule/logsample":     {reach: caddyModules},
}

// pkg is a package in the output of `go list -json`.
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

// isBelow reports whether the package path is dir or below it.
func isBelow(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

func TestDependencyDirection(t *testing.T) {
	packages := listPackages(t)
	for layer, banned := range layers {
		t.Run(layer, func(t *testing.T) {
			found := 0
			for path, p := range packages {
				if !isBelow(path, module+"/"+layer) {
					continue
				}
				found++
				for _, ban := range banned.reach {
					for _, dep := range p.Deps {
						if isBelow(dep, ban) || isBelow(dep, module+"/"+ban) {
							t.Errorf("%s depends on %s", path, dep)
						}
					}
				}
				for _, ban := range banned.imports {
					if slices.Contains(p.Imports, ban) {
						t.Errorf("%s imports %s", path, ban)
					}
				}
			}
			if found == 0 {
				t.Errorf("no package in %s/: if the layer was removed, remove it here and in .golangci.yml", layer)
			}
		})
	}
}

func TestNoImportsOfCommands(t *testing.T) {
	for path, p := range listPackages(t) {
		for _, dep := range p.Imports {
			if isBelow(dep, module+"/cmd") && !isBelow(path, module+"/cmd") {
				t.Errorf("%s imports %s, but cmd is the outermost layer", path, dep)
			}
		}
	}
}
