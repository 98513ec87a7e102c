package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/caddyserver/xcaddy"
)

// Manifest is the content of an xcaddy.toml: what a build of Caddy is made of.
type Manifest struct {
	// Caddy is the release to build, such as "v2.11.9". Required.
	Caddy string `toml:"caddy"`

	// Modules are the packages to plug in; at least one.
	Modules []Module `toml:"module"`

	// Replacements put other code in a module's place, as replace lines in a go.mod do. May be empty.
	Replacements []Replacement `toml:"replace"`
}

// Module is a package that is plugged in by a blank import.
type Module struct {
	// Package is the import path. Required.
	Package string `toml:"package"`

	// Version is a release, branch or commit of the module that holds the package. Empty for a package of a replaced
	// module, which has no version; required for all others, so that a build gives the same binary tomorrow.
	Version string `toml:"version"`
}

// Replacement puts a folder or another module in the place of a module.
type Replacement struct {
	// Old is the path of the module that is replaced. Required.
	Old string `toml:"old"`

	// New is a folder that starts with "." or "/", or another module as "path@version". Required. After ReadManifest a
	// folder is an absolute path.
	New string `toml:"new"`
}

// ReadManifest reads and checks the manifest at path. Keys that it does not know are errors, and so are all things
// that would make two builds of the same manifest differ. The error names every fault found, not only the first.
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

	var faults []error
	for _, key := range meta.Undecoded() {
		faults = append(faults, fmt.Errorf("unknown key %q", key))
	}
	faults = append(faults, m.check()...)
	if len(faults) > 0 {
		return nil, fmt.Errorf("build manifest %s: %w", path, errors.Join(faults...))
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

// check returns every fault in the manifest's values.
func (m *Manifest) check() []error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	if !strings.HasPrefix(m.Caddy, "v") || strings.Count(m.Caddy, ".") != 2 {
		fault("caddy = %q: give a release, such as \"v2.11.9\"", m.Caddy)
	}
	replaced := make(map[string]bool)
	for i, r := range m.Replacements {
		switch {
		case r.Old == "" || r.New == "":
			fault("replace %d: needs both old (a module path) and new (a folder, or path@version)", i+1)
		case replaced[r.Old]:
			fault("replace %d: %s is replaced twice", i+1, r.Old)
		case !isFolder(r.New) && !strings.Contains(r.New, "@"):
			fault("replace %d: new = %q is neither a folder (start it with \"./\") nor path@version", i+1, r.New)
		}
		replaced[r.Old] = true
	}
	if len(m.Modules) == 0 {
		fault("no [[module]] is named, so the build would be plain Caddy")
	}
	seen := make(map[string]bool)
	for i, mod := range m.Modules {
		old, isReplaced := m.replacementOf(mod.Package)
		switch {
		case mod.Package == "":
			fault("module %d: needs a package (an import path)", i+1)
		case seen[mod.Package]:
			fault("module %d: %s is named twice", i+1, mod.Package)
		case mod.Version == "" && !isReplaced:
			fault("module %d: %s needs a version, such as \"v1.2.3\"", i+1, mod.Package)
		case mod.Version == "latest":
			fault("module %d: %s: \"latest\" changes by itself; give a release", i+1, mod.Package)
		case mod.Version != "" && isReplaced:
			fault("module %d: %s has a version, but %s is replaced, so the version would not count", i+1, mod.Package, old)
		}
		seen[mod.Package] = true
	}
	return faults
}

// replacementOf returns the replaced module that pkg belongs to, if there is one.
func (m *Manifest) replacementOf(pkg string) (module string, ok bool) {
	for _, r := range m.Replacements {
		if pkg == r.Old || strings.HasPrefix(pkg, r.Old+"/") {
			return r.Old, true
		}
	}
	return "", false
}

// Builder returns an xcaddy builder for the manifest. It writes the bundle of the replaced modules' packages into
// scratch, a folder that must exist until the build has ended.
func (m *Manifest) Builder(scratch string) (*xcaddy.Builder, error) {
	b := &xcaddy.Builder{CaddyVersion: m.Caddy}
	var local bundle
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
		b.Plugins = append(b.Plugins, xcaddy.Dependency{PackagePath: bundleModule, Version: "v0.0.0"})
		b.Replacements = append(b.Replacements, xcaddy.NewReplace(bundleModule, scratch))
	}
	return b, nil
}

// isFolder tells a folder from a module path by the rule that go.mod has for replace lines.
func isFolder(s string) bool {
	return s == "." || s == ".." || strings.HasPrefix(s, "./") || strings.HasPrefix(s, "../") || filepath.IsAbs(s)
}
