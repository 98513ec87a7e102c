// Package discovery finds a DocsGPT on this machine: the address of its API, its version and its database. It reads DocsGPT's own
// settings and compose files, and asks only addresses that may be DocsGPT's. It modifies nothing.
package discovery

import (
	"context"
	"os"
	"os/user"
	"path/filepath"
	"slices"

	"github.com/docsgate/docsgate/docsgpt"
)

// DefaultAddress is the address at which DocsGPT listens unless it is configured otherwise.
const DefaultAddress = "http://127.0.0.1:7091"

// Settings describes a DocsGPT by the files in a folder.
type Settings struct {
	// Dir is the folder.
	Dir string
	// File is the path of the file that describes the database, or else of the one that names the API.
	File string
	// Compose reports whether DocsGPT runs by Docker Compose.
	Compose bool
	// Addresses are where this machine reaches the API if DocsGPT runs, such as "http://127.0.0.1:7091". There is at least one.
	Addresses []string
	// Database is DocsGPT's PostgreSQL.
	Database Database
}

// Database is where the keys of DocsGPT's agents are.
type Database struct {
	// URI is the address as this machine reaches it; it may contain a password. It is empty if it is unknown, and if the
	// database has no port on this machine.
	URI string
	// Service is the service of the compose file that is the database, if it has no port on this machine.
	Service string
}

// Found is a DocsGPT whose API responds.
type Found struct {
	Address  string
	Version  docsgpt.Detection
	Settings *Settings // nil: unknown
}

// Folders returns the folders where the settings of a DocsGPT usually are: the current one, DOCSGPT_HOME, and those of the command
// "docsgpt up" for this user, for the user who called sudo, and for root.
func Folders() []string {
	folders := []string{".", os.Getenv("DOCSGPT_HOME")}
	if home, err := os.UserHomeDir(); err == nil {
		folders = append(folders, filepath.Join(home, ".docsgpt", "server"))
	}
	if caller := os.Getenv("SUDO_USER"); caller != "" {
		if u, err := user.Lookup(caller); err == nil {
			folders = append(folders, filepath.Join(u.HomeDir, ".docsgpt", "server"))
		}
	}
	folders = append(folders, "/opt/docsgpt")
	return slices.DeleteFunc(folders, func(dir string) bool { return dir == "" })
}

// Find returns the first DocsGPT that responds: those of the settings, then the one at DefaultAddress. It returns nil if there is none.
func Find(ctx context.Context, all []*Settings) *Found {
	for _, s := range all {
		for _, address := range s.Addresses {
			if version, err := Detect(ctx, address); err == nil {
				return &Found{Address: address, Version: version, Settings: s}
			}
		}
	}
	if version, err := Detect(ctx, DefaultAddress); err == nil {
		return &Found{Address: DefaultAddress, Version: version}
	}
	return nil
}
