package gateclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/docsgate/docsgate/caddymodule"
	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
)

// Flags are the flags that select the running gate or the store that a command works on.
type Flags struct {
	Address, Config, Adapter, Store string
	Backend                         string // name; empty: the default backend
	Creates                         bool   // the command creates the store file if it does not exist
}

// Add defines the flags --address, --config, --adapter, --store and --backend.
func (f *Flags) Add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.Address, "address", "", "Address of the running gate's admin endpoint, such as localhost:2019")
	flags.StringVarP(&f.Config, "config", "c", "", "Configuration file that names the admin endpoint and the store")
	flags.StringVarP(&f.Adapter, "adapter", "a", "", "Name of the config adapter to apply to the configuration file")
	flags.StringVar(&f.Store, "store", "", "Store to open directly: a file that no gate has open, or the URI of a database, such as {env.DOCSGATE_STORE_URI}")
	flags.StringVar(&f.Backend, "backend", "", "Name of the DocsGPT whose keys are meant, if the configuration names several (default: the one without a name)")
}

// Open connects to the gate. It opens the store file only if no gate listens and no --address was given, and says on notes which
// file it has chosen.
func (f *Flags) Open(ctx context.Context, notes io.Writer) (*Client, error) {
	p, err := f.locate()
	if err != nil {
		return nil, err
	}
	if p.admin != "" {
		g, err := f.dial(ctx, p.admin)
		switch {
		case err == nil || cli.HasStatus(err):
			return g, err
		case p.named:
			return nil, cli.Errorf(cli.ExitUnreachable, "%w. Is the gate running? If not, leave out --address, or name the store "+
				"file with --store", err)
		case !IsConnRefused(err):
			return nil, cli.Errorf(cli.ExitUnreachable, "%w. Name the gate with --address", err)
		}
	}
	at, err := f.location(&p)
	if err != nil {
		return nil, err
	}
	if f.Store == "" {
		why := "the configuration has no admin endpoint"
		if p.admin != "" {
			why = "no gate listens on " + p.admin
		}
		what := "database"
		if at.File() != "" {
			what = "file"
		}
		fmt.Fprintf(notes, "Note: %s; using the store %s %s\n", why, what, at.Name())
	}
	if at.File() != "" && !f.Creates {
		if _, err := os.Stat(at.File()); errors.Is(err, fs.ErrNotExist) {
			return nil, cli.Errorf(cli.ExitUnreachable, "the store %s does not exist: name the running gate with --address, or another file "+
				"with --store", at.Name())
		}
	}
	return openStore(ctx, at)
}

// Location returns the store that the flags or the configuration name. It neither asks a gate nor opens the store.
func (f *Flags) Location() (caddymodule.StoreLocation, error) {
	p, err := f.locate()
	if err != nil {
		return caddymodule.StoreLocation{}, err
	}
	return f.location(&p)
}

func (f *Flags) location(p *target) (caddymodule.StoreLocation, error) {
	if !p.hasFeed {
		return caddymodule.StoreLocation{}, p.noStoreError()
	}
	at, err := p.store.Locate(f.Backend)
	if err == nil {
		return at, nil
	}
	option := "feed store"
	if f.Store != "" {
		option = "--store"
	}
	return at, cli.Errorf(cli.ExitUsage, "%s: %w", option, err)
}

// Dial connects to the running gate. It never opens a store file.
func (f *Flags) Dial(ctx context.Context) (*Client, error) {
	p, err := f.locate()
	if err != nil {
		return nil, err
	}
	if p.admin == "" {
		return nil, cli.Errorf(cli.ExitUnreachable, "the configuration has no admin endpoint")
	}
	return f.dial(ctx, p.admin)
}

// dial connects to the backend of the gate at an admin endpoint.
func (f *Flags) dial(ctx context.Context, admin string) (*Client, error) {
	c, err := Dial(ctx, admin)
	if err == nil && f.Backend != "" {
		c.base += backendsPath + f.Backend
		c.Name = "the backend " + f.Backend + " of " + c.Name
	}
	return c, err
}

// OfflineKeyFiles returns the paths of the key files in the configuration. It returns none if a gate listens, which knows their keys, or if
// the flags select a gate or a store file.
func (f *Flags) OfflineKeyFiles(ctx context.Context) ([]string, error) {
	p, err := f.locate()
	if err != nil || p.named || f.Store != "" || len(p.keyFiles) == 0 {
		return nil, err
	}
	if p.admin != "" {
		g, err := Dial(ctx, p.admin)
		if err == nil {
			return nil, g.Close()
		}
		if !IsConnRefused(err) {
			return nil, nil
		}
	}
	return p.keyFiles, nil
}

// target is the result of locating the keys: the address of Caddy's admin endpoint and the path of the store file.
type target struct {
	admin   string // a network address; empty: the configuration has no admin endpoint
	named   bool   // the admin endpoint was named on the command line
	store   caddymodule.StoreFeed
	hasFeed bool // the configuration has "feed store", or there is no configuration

	backends []string // names of the other backends in the configuration, if none is selected

	keyFiles []string // paths of "feed file", without those with placeholders that cannot be resolved here
}

// locate finds the keys by the flags, the configuration that they name, or the Caddyfile in the current directory.
func (f *Flags) locate() (target, error) {
	if f.Backend != "" {
		if _, err := caddymodule.BackendStorePath(f.Backend); err != nil {
			return target{}, cli.Errorf(cli.ExitUsage, "--backend: %w", err)
		}
	}
	switch {
	case f.Backend != "" && f.Store != "":
		return target{}, cli.Errorf(cli.ExitUsage, "--backend and --store are mutually exclusive: a store file belongs to one backend")
	case f.Address != "" && f.Store != "":
		return target{}, cli.Errorf(cli.ExitUsage, "--address and --store are mutually exclusive: name the running gate or the file")
	case f.Adapter != "" && f.Config == "":
		return target{}, cli.Errorf(cli.ExitUsage, "--adapter needs --config")
	case f.Store != "":
		return target{store: caddymodule.StoreFeed{Path: f.Store}, hasFeed: true}, nil
	case f.Address != "": // takes precedence over a configuration, as in Caddy's own commands
		return target{admin: f.Address, named: true}, nil
	}
	config, file, err := ReadConfig(f.Config, f.Adapter)
	if err != nil {
		return target{}, cli.Errorf(cli.ExitUsage, "%w", err)
	}
	admin, err := caddycmd.DetermineAdminAPIAddress("", config, file, f.Adapter)
	if err != nil {
		return target{}, cli.Errorf(cli.ExitUsage, "%w", err)
	}
	p := target{admin: admin, hasFeed: true}
	if config == nil {
		return p, nil
	}
	var parsed struct {
		Admin struct {
			Disabled bool `json:"disabled"`
		} `json:"admin"`
		Apps struct {
			Docsgate configApp `json:"docsgate"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(config, &parsed); err != nil {
		return target{}, cli.Errorf(cli.ExitUsage, "reading the configuration %s: %w", file, err)
	}
	if parsed.Admin.Disabled {
		p.admin = ""
	}
	feeds, err := parsed.Apps.Docsgate.feedsOf(f.Backend)
	if err != nil {
		return target{}, cli.Errorf(cli.ExitUsage, "%s: %w", file, err)
	}
	if f.Backend == "" {
		p.backends = parsed.Apps.Docsgate.names()
	}
	p.hasFeed = false
	for _, feed := range feeds {
		if feed.Feed == "file" {
			if path, err := caddy.NewReplacer().ReplaceOrErr(feed.Path, true, true); err == nil && path != "" {
				p.keyFiles = append(p.keyFiles, path)
			}
		}
		if feed.Feed != "store" || p.hasFeed {
			continue
		}
		p.hasFeed = true
		if feed.Path == "" {
			continue
		}
		if path, err := caddy.NewReplacer().ReplaceOrErr(feed.Path, true, true); err != nil || path == "" {
			return target{}, cli.Errorf(cli.ExitUsage, "the path of \"feed store\" in %s has placeholders that cannot be resolved here: name it with --store", file)
		}
		p.store = caddymodule.StoreFeed{Path: feed.Path, Schema: feed.Schema, InsecurePlaintext: feed.InsecurePlaintext}
	}
	return p, nil
}
