package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// bundleModule is the path of the module that a bundle is. It is one path element and can't exist on any server, so
// the go command never asks a server about it.
const bundleModule = "docsgate-bundle.invalid"

// bundle is a module with nothing in it but blank imports of packages that live in replaced modules, and the
// requirements for them.
//
// Why: xcaddy plugs in a package of a replaced module without naming its module in go.mod, so the go command asks the
// module proxy, and then the repository's server, which module might hold the package; that fails for a private
// repository or behind a proxy of limited choice, and it is needless, because the code lies in the folder beside us.
// A bundle's go.mod says which module it is.
type bundle struct {
	packages []string // import paths
	modules  []string // the replaced modules that hold them, each once
}

// add puts a package and the replaced module that holds it into the bundle.
func (b *bundle) add(pkg, module string) {
	b.packages = append(b.packages, pkg)
	for _, m := range b.modules {
		if m == module {
			return
		}
	}
	b.modules = append(b.modules, module)
}

// write puts the bundle into dir, which must exist.
func (b *bundle) write(dir string) error {
	var mod, imports strings.Builder
	// From go 1.17 on a module's requirements are pruned, which keeps the versions of the real go.mod.
	fmt.Fprintf(&mod, "module %s\n\ngo 1.21\n\n", bundleModule)
	for _, m := range b.modules {
		fmt.Fprintf(&mod, "require %s %s\n", m, placeholderVersion(m))
	}
	fmt.Fprint(&imports, "package bundle\n\nimport (\n")
	for _, p := range b.packages {
		fmt.Fprintf(&imports, "\t_ %q\n", p)
	}
	fmt.Fprint(&imports, ")\n")

	for name, text := range map[string]string{"go.mod": mod.String(), "bundle.go": imports.String()} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("writing the bundle of replaced packages: %w", err)
		}
	}
	return nil
}

var majorSuffix = regexp.MustCompile(`/v([2-9]|[1-9][0-9]+)$`)

// placeholderVersion returns the version that stands in a require line for a replaced module, which has none.
func placeholderVersion(module string) string {
	major := "v0"
	if m := majorSuffix.FindString(module); m != "" {
		major = m[1:]
	}
	return major + ".0.0-00010101000000-000000000000"
}
