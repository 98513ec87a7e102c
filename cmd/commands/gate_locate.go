package commands

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/docsgate/docsgate/caddymodule"
)

// target is the result of locating the keys: the address of Caddy's admin endpoint and the path of the store file.
type target struct {
	admin   string // a network address; empty: the configuration has no admin endpoint
	named   bool   // the admin endpoint was named on the command line
	store   string // path of the file
	hasFeed bool   // the configuration has "feed store", or there is no configuration
}

// find locates the keys by the flags, the configuration that they name, or the Caddyfile in the current directory.
func (f *connFlags) find() (target, error) {
	switch {
	case f.address != "" && f.store != "":
		return target{}, failf(exitUsage, "--address and --store are mutually exclusive: name the running gate or the file")
	case f.adapter != "" && f.config == "":
		return target{}, failf(exitUsage, "--adapter needs --config")
	case f.store != "":
		return target{store: f.store, hasFeed: true}, nil
	case f.address != "": // takes precedence over a configuration, as in Caddy's own commands
		return target{admin: f.address, named: true}, nil
	}
	config, file, err := f.read()
	if err != nil {
		return target{}, failf(exitUsage, "%w", err)
	}
	admin, err := caddycmd.DetermineAdminAPIAddress("", config, file, f.adapter)
	if err != nil {
		return target{}, failf(exitUsage, "%w", err)
	}
	p := target{admin: admin, store: caddymodule.DefaultStorePath(), hasFeed: true}
	if config == nil {
		return p, nil
	}
	var parsed struct {
		Admin struct {
			Disabled bool `json:"disabled"`
		} `json:"admin"`
		Apps struct {
			Docsgate struct {
				Feeds []struct {
					Feed string `json:"feed"`
					Path string `json:"path"`
				} `json:"feeds"`
			} `json:"docsgate"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(config, &parsed); err != nil {
		return target{}, failf(exitUsage, "reading the configuration %s: %w", file, err)
	}
	if parsed.Admin.Disabled {
		p.admin = ""
	}
	p.hasFeed = false
	for _, feed := range parsed.Apps.Docsgate.Feeds {
		if feed.Feed != "store" {
			continue
		}
		p.hasFeed = true
		if feed.Path == "" {
			break
		}
		p.store, err = caddy.NewReplacer().ReplaceOrErr(feed.Path, true, true)
		if err != nil || p.store == "" {
			return target{}, failf(exitUsage, "the path of \"feed store\" in %s has placeholders that cannot be resolved here: name it with --store", file)
		}
		break
	}
	return p, nil
}

// read returns the configuration as JSON, adapted if necessary, and the name of its file. Both are empty without --config and
// without a Caddyfile in the current directory. It does what Caddy's LoadConfig does, without its log output.
func (f *connFlags) read() ([]byte, string, error) {
	file := f.config
	if file == "" {
		file = "Caddyfile"
	}
	config, err := os.ReadFile(file)
	if f.config == "" && errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("reading the configuration: %w", err)
	}
	adapter, base := f.adapter, strings.ToLower(filepath.Base(file))
	if adapter == "" && filepath.Ext(base) != ".json" &&
		(strings.HasPrefix(base, "caddyfile") || strings.HasSuffix(base, ".caddyfile")) {
		adapter = "caddyfile"
	}
	if adapter == "" {
		if !json.Valid(config) {
			return nil, "", fmt.Errorf("the configuration %s is not JSON: name its config adapter with --adapter", file)
		}
		return config, file, nil
	}
	configAdapter := caddyconfig.GetAdapter(adapter)
	if configAdapter == nil {
		return nil, "", fmt.Errorf("unrecognized config adapter %q", adapter)
	}
	adapted, _, err := configAdapter.Adapt(config, map[string]any{"filename": file})
	if err != nil {
		return nil, "", fmt.Errorf("adapting the configuration %s: %w", file, err)
	}
	return adapted, file, nil
}
