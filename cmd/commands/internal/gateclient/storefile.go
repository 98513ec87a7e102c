package gateclient

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/console/api"
	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/boltstore"
	"github.com/docsgate/docsgate/keys/keyindex"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
)

// openStore opens a store file that no gate has open, and returns a client of an in-process API for it.
func openStore(ctx context.Context, path string) (_ *Client, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, cli.Errorf(cli.ExitUnreachable, "creating the directory of the store: %w", err)
	}
	storage, err := boltstore.Open(ctx, boltstore.Options{Path: path})
	if errors.Is(err, boltstore.ErrLocked) {
		return nil, cli.Errorf(cli.ExitUnreachable, "a running gate has the store %s open, but its admin endpoint was not found: name the endpoint "+
			"with --address, or with the --config that the gate runs with", path)
	}
	if err != nil {
		return nil, cli.Errorf(cli.ExitUnreachable, "%w", err)
	}
	meter := usage.NewMeter()
	reg, err := registry.New(registry.Options{Storage: storage, Encrypter: registry.NewEncrypter(path + ".secret"), Usage: meter})
	if err != nil {
		return nil, cli.Errorf(cli.ExitUnreachable, "%w", errors.Join(err, storage.Close()))
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
	who := "command line (" + osUser() + ")"
	handler := api.New(api.Options{
		Service: &keyservice.Service{Registry: reg, Index: listing, Store: store, Usage: meter, Feed: feed.Name(), AnyAgent: true},
		Actor:   func(*http.Request) registry.Actor { return registry.Actor{Name: who, RemoteAddr: "local file"} },
	})
	local := &handlerTransport{handler: handler}
	return &Client{
		Name:   "the store " + path,
		client: &http.Client{Transport: local},
		base:   "http://localhost",
		close: func() error {
			local.running.Wait()
			stop()
			return reg.Close()
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
