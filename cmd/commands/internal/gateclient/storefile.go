package gateclient

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/docsgate/docsgate/caddymodule/app"
	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/console/api"
	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/boltstore"
	"github.com/docsgate/docsgate/keys/keyindex"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
)

// openStore opens a store, and returns a client of an in-process API for it. A file must not be open in a gate.
func openStore(ctx context.Context, at app.StoreLocation) (_ *Client, err error) {
	if file := at.File(); file != "" {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return nil, cli.Errorf(cli.ExitUnreachable, "creating the directory of the store: %w", err)
		}
	}
	meter := usage.NewMeter()
	reg, err := at.OpenStore(ctx, meter, nil)
	if errors.Is(err, boltstore.ErrLocked) {
		return nil, cli.Errorf(cli.ExitUnreachable, "a running gate has the store %s open, but its admin endpoint was not found: name the endpoint "+
			"with --address, or with the --config that the gate runs with", at.Name())
	}
	if err != nil {
		return nil, cli.Errorf(cli.ExitUnreachable, "%w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, reg.Close())
		}
	}()
	// Placeholders stay as they are: only the gate can resolve them, in its environment.
	reg.SetRules(registry.Rules{Resolve: func(placeholder string) (string, error) { return placeholder, nil }})

	store, listing, feed := keys.NewStore(), keyindex.New(), reg.Feed()
	store.Listen(listing)
	syncer := keys.NewSyncer(store, []keys.Feed{feed}, nil)
	if err := syncer.LoadAll(ctx); err != nil {
		return nil, cli.Errorf(cli.ExitUnreachable, "%w", err)
	}
	stop := reg.OnChange(func(ctx context.Context) error { return syncer.Sync(ctx, feed.Name()) })
	history := at.NewHistory(reg, nil)
	from := "local file"
	if at.File() == "" {
		from = "database"
	}
	who := "command line (" + osUser() + ")"
	handler := api.New(api.Options{
		Service: &keyservice.Service{
			Registry: reg.Registry, Index: listing, Store: store, Usage: meter, History: history, Feed: feed.Name(), AnyAgent: true,
			RotateIDSecret: reg.RotateIDSecret,
		},
		Actor: func(*http.Request) registry.Actor { return registry.Actor{Name: who, RemoteAddr: from} },
	})
	local := &handlerTransport{handler: handler}
	return &Client{
		Name:   "the store " + at.Name(),
		client: &http.Client{Transport: local},
		base:   "http://localhost",
		close: func() error {
			local.running.Wait()
			stop()
			return errors.Join(history.Close(), reg.Close())
		},
	}, nil
}

// osUser returns the name of the user of this process, reduced to characters that are valid in a header.
func osUser() string {
	name := os.Getenv("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, name)
}
