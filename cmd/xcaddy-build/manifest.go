package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/caddyserver/xcaddy"
)

// Manifest is the content of an xcaddy.toml, which describes a build of Caddy.
type Manifest struct {
	// Caddy is the release to build, such as "v2.11.9". Required.
	Caddy string `toml:"caddy"`

	// Modules are the packages to plug in; at least one.
	Modules []Module `toml:"module"`

	// Replacements replace modules like the replace directives of a go.mod. May be empty.
	Replacements []Replacement `toml:"replace"`
}

// Module is a package that is added by a blank import.
type Module struct {
	// Package is the import path. Required.
	Package string `toml:"package"`

	// Version is a release, branch or commit of the module that contains the package. It is empty for a package of a replaced
	// module, and required for all others, so that a build is reproducible.
	Version string `toml:"version"`
}

// Replacement replaces a module with a folder or another module.
type Replacement struct {
	// Old is the path of the replaced module. Required.
	Old string `toml:"old"`

	// New is a folder that starts with "." or "/", or a module as "path@version". Required. ReadManifest makes folders absolute.
	New string `toml:"new"`
}

// ReadManifest reads and validates the manifest at path. Unknown keys are errors, and so is everything that would make two builds
// with the same manifest differ. The error lists all problems, not only the first.
func ReadManifest(path string) (*Manifest, error) {
	var m Manifest
	meta, err := toml.DecodeFile(path, &m)
	if err != nil {
		var parse toml.ParseError
		if errors.As(err, &parse) {
			return nil, fmt.Errorf("reading build manifest %s:%d: %s", path, parse.Position.Line, parse.Message)
		}
		return nil, fmt.Errorf("reading build manifest %s: %w", path, err)
	}

	var errs []error
	for _, key := range meta.Undecoded() {
		errs = append(errs, fmt.Errorf("unknown key %q", key))
	}
	errs = append(errs, m.validate()...)
	if len(errs) > 0 {
		return nil, fmt.Errorf("build manifest %s: %w", path, errors.Join(errs...))
	}

	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("finding the folder of %s: %w", path, err)
	}
	for i, r := range m.Replacements {
		if isFolder(r.New) && !filepath.IsAbs(r.New) {
			m.Replacements[i].New = filepath.Join(dir, r.New)
		}
	}
	return &m, nil
}

// validate returns all errors in the manifest's values.
func (m *Manifest) validate() []error {
	var errs []error
	errorf := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }

	if !strings.HasPrefix(m.Caddy, "v") || strings.Count(m.Caddy, ".") != 2 {
		errorf("caddy = %q: specify a release, such as \"v2.11.9\"", m.Caddy)
	}
	replaced := make(map[string]bool)
	for i, r := range m.Replacements {
		switch {
		case r.Old == "" || r.New == "":
			errorf("replace %d: needs both old (a module path) and new (a folder, or path@version)", i+1)
		case replaced[r.Old]:
			errorf("replace %d: %s is replaced twice", i+1, r.Old)
		case !isFolder(r.New) && !strings.Contains(r.New, "@"):
			errorf("replace %d: new = %q is neither a folder (start it with \"./\") nor path@version", i+1, r.New)
		}
		replaced[r.Old] = true
	}
	if len(m.Modules) == 0 {
		errorf("no [[module]], so the build would be plain Caddy")
	}
	seen := make(map[string]bool)
	for i, mod := range m.Modules {
		old, isReplaced := m.replacementOf(mod.Package)
		switch {
		case mod.Package == "":
			errorf("module %d: needs a package (an import path)", i+1)
		case seen[mod.Package]:
			errorf("module %d: %s is specified twice", i+1, mod.Package)
		case mod.Version == "" && !isReplaced:
			errorf("module %d: %s needs a version, such as \"v1.2.3\"", i+1, mod.Package)
		case mod.Version == "latest":
			errorf("module %d: %s: \"latest\" is not reproducible; specify a release", i+1, mod.Package)
		case mod.Version != "" && isReplaced:
			errorf("module %d: %s has a version, but %s is replaced, so the version would be ignored", i+1, mod.Package, old)
		}
		seen[mod.Package] = true
	}
	return errs
}

// replacementOf returns the replaced module that contains pkg, if any.
func (m *Manifest) replacementOf(pkg string) (module string, ok bool) {
	for _, r := range m.Replacements {
		if pkg == r.Old || strings.HasPrefix(pkg, r.Old+"/") {
			return r.Old, true
		}
	}
	return "", false
}

// Builder returns an xcaddy builder for the manifest. It writes the bundle of the replaced modules' packages to the folder scratch,
// which must exist until the build has ended.
func (m *Manifest) Builder(scratch string) (*xcaddy.Builder, error) {
	b := &xcaddy.Builder{CaddyVersion: m.Caddy}
	var local importModule
	for _, mod := range m.Modules {
		if old, ok := m.replacementOf(mod.Package); ok {
			local.add(mod.Package, old)
			continue
		}
		b.Plugins = append(b.Plugins, xcaddy.Dependency{PackagePath: mod.Package, Version: mod.Version})
	}
	for _, r := range m.Replacements {
		b.Replacements = append(b.Replacements, xcaddy.NewReplace(r.Old, r.New))
	}
	if len(local.packages) > 0 {
		if err := local.write(scratch); err != nil {
			return nil, err
		}
		b.Plugins = append(b.Plugins, xcaddy.Dependency{PackagePath: importModulePath, Version: "v0.0.0"})
		b.Replacements = append(b.Replacements, xcaddy.NewReplace(importModulePath, scratch))
	}
	return b, nil
}

// isFolder reports whether s is a folder, not a module path, by the rule for replace directives in go.mod.
func isFolder(s string) bool {
	return s == "." || s == ".." || strings.HasPrefix(s, "./") || strings.HasPrefix(s, "../") || filepath.IsAbs(s)
}
