package gateclient

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
)

// backendsPath is the path of the APIs of named backends, below adminPrefix. The name follows.
const backendsPath = "/backends/"

// configApp is the part of the app "docsgate" in a configuration that says where keys are.
type configApp struct {
	Feeds    []configFeed `json:"feeds"`
	Backends map[string]struct {
		Feeds []configFeed `json:"feeds"`
	} `json:"backends"`
}

// configFeed has the fields of "feed file" and "feed store" that are needed to find keys.
type configFeed struct {
	Feed              string `json:"feed"`
	Path              string `json:"path"`
	Schema            string `json:"schema"`
	InsecurePlaintext bool   `json:"insecure_plaintext"`
}

// names returns the names of the named backends.
func (a *configApp) names() []string { return slices.Sorted(maps.Keys(a.Backends)) }

// feedsOf returns the feeds of a backend; empty: of the default one.
func (a *configApp) feedsOf(backend string) ([]configFeed, error) {
	if backend == "" {
		return a.Feeds, nil
	}
	b, found := a.Backends[backend]
	if !found && len(a.Backends) == 0 {
		return nil, fmt.Errorf("unknown backend %q: the docsgate options name none", backend)
	}
	if !found {
		return nil, fmt.Errorf("unknown backend %q: must be one of %s", backend, strings.Join(a.names(), ", "))
	}
	return b.Feeds, nil
}

// noStoreError is the error if no gate runs and the configuration has no store.
func (p *target) noStoreError() error {
	if len(p.backends) > 0 {
		return cli.Errorf(cli.ExitUnreachable, "no gate is running, and the backend without a name has no \"feed store\" in the configuration: "+
			"select another one with --backend: %s", strings.Join(p.backends, ", "))
	}
	return cli.Errorf(cli.ExitUnreachable, "no gate is running, and the configuration has no \"feed store\": add it, or "+
		"name the store file with --store")
}
