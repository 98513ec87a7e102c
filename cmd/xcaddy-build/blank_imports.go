package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// importModulePath is the path of a bundle's module. It has a single element and a reserved domain, so the go command never asks a
// server for it.
const importModulePath = "docsgate-bundle.invalid"

// importModule is a module that contains only blank imports of packages of replaced modules, and requires these modules.
//
// It is necessary because xcaddy does not add the module of such a package to go.mod, so the go command asks the module proxy, and
// then the repository's server, which module contains the package. That fails for a private repository or a restricted proxy, and
// is pointless, because the code is in a local folder. The go.mod of a bundle contains the module.
type importModule struct {
	packages []string // import paths
	modules  []string // the replaced modules that contain them, without duplicates
}

// add adds a package and the replaced module that contains it.
func (b *importModule) add(pkg, module string) {
	b.packages = append(b.packages, pkg)
	for _, m := range b.modules {
		if m == module {
			return
		}
	}
	b.modules = append(b.modules, module)
}

// write writes the bundle to dir, which must exist.
func (b *importModule) write(dir string) error {
	var mod, imports strings.Builder
	// Since Go 1.17 the module graph is pruned, which keeps the versions of the replaced module's go.mod.
	fmt.Fprintf(&mod, "module %s\n\ngo 1.21\n\n", importModulePath)
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

// placeholderVersion returns the version for the require line of a replaced module, which has no version.
func placeholderVersion(module string) string {
	major := "v0"
	if m := majorSuffix.FindString(module); m != "" {
		major = m[1:]
	}
	return major + ".0.0-00010101000000-000000000000"
}
