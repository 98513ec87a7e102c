// Package buildinfo contains the version of docsgate that a program was built from.
package buildinfo

import (
	"runtime/debug"
	"sync"
)

const modulePath = "github.com/docsgate/docsgate"

// release is set by the linker: -ldflags "-X github.com/docsgate/docsgate/internal/buildinfo.release=v1.2.3", as in the Makefile.
var release string

// Version returns the version of docsgate: that of a release, such as "v1.2.3"; "devel-" and the commit, if make built the
// program from a checkout; the version of the module, if xcaddy built it; or "devel". It never changes and is safe for concurrent use.
var Version = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return versionIn(release, info)
})

// UserAgent returns the User-Agent of docsgate's own requests.
func UserAgent() string { return "docsgate/" + Version() }

func versionIn(release string, info *debug.BuildInfo) string {
	const unknown = "(devel)"
	version := release
	if version == "" && info.Main.Path == modulePath {
		version = info.Main.Version
	}
	for _, dep := range info.Deps {
		if version == "" && dep.Path == modulePath && dep.Replace == nil {
			version = dep.Version // a program that xcaddy has built
		}
	}
	if version == "" || version == unknown {
		return "devel"
	}
	return version
}
