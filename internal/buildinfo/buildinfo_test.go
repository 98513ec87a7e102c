package buildinfo

import (
	"runtime/debug"
	"testing"
)

func TestVersion(t *testing.T) {
	const commit = "v0.0.0-20261128101010-0123456789ab+dirty"
	dep := func(version string, replace *debug.Module) []*debug.Module {
		return []*debug.Module{{Path: "example.com/other", Version: "v9.9.9"}, {Path: modulePath, Version: version, Replace: replace}}
	}
	for name, test := range map[string]struct {
		release string
		info    debug.BuildInfo
		want    string
	}{
		"release":                 {"v1.2.3", debug.BuildInfo{Main: debug.Module{Path: modulePath, Version: commit}}, "v1.2.3"},
		"checkout":                {"", debug.BuildInfo{Main: debug.Module{Path: modulePath, Version: commit}}, commit},
		"without version control": {"", debug.BuildInfo{Main: debug.Module{Path: modulePath, Version: "(devel)"}}, "devel"},
		"xcaddy":                  {"", debug.BuildInfo{Main: debug.Module{Path: "caddy"}, Deps: dep("v1.2.4", nil)}, "v1.2.4"},
		"xcaddy with a folder":    {"", debug.BuildInfo{Main: debug.Module{Path: "caddy"}, Deps: dep("v0.0.0", &debug.Module{Path: "."})}, "devel"},
		"no build information":    {"", debug.BuildInfo{}, "devel"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := versionIn(test.release, &test.info); got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
