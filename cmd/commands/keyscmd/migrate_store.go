package keyscmd

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/docsgate/docsgate/caddymodule"
	"github.com/docsgate/docsgate/caddymodule/placeholder"
	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/keys/boltstore"
	"github.com/docsgate/docsgate/keys/registry"
)

// databaseFlags are the options of databases, as in the block of "feed store".
type databaseFlags struct {
	schema    string
	plaintext bool
}

func (f *databaseFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.schema, "schema", "", "Schema in the database that --to or --store names (default docsgate)")
	flags.BoolVar(&f.plaintext, "insecure-plaintext", false, "Allow a connection without TLS to a database on another machine")
}

// locate finds the store that a flag names, in a form that "feed store" accepts.
func (f *databaseFlags) locate(flag, path string) (caddymodule.StoreLocation, error) {
	feed := caddymodule.StoreFeed{Path: path}
	at, err := feed.Locate("")
	if err == nil && at.File() != "" {
		return at, nil
	}
	feed.Schema, feed.InsecurePlaintext = f.schema, f.plaintext
	at, err = feed.Locate("")
	if errors.Is(err, placeholder.ErrPlaintext) {
		err = errors.New("the URI contains a password, which is visible in the process list: set it in an environment variable and use " +
			"{env.NAME}, or in a file and use {file.PATH}")
	}
	if err != nil {
		return at, cli.Errorf(cli.ExitUsage, "%s: %w", flag, err)
	}
	return at, nil
}

// openTarget opens the store to copy to.
func openTarget(ctx context.Context, at caddymodule.StoreLocation) (registry.Storage, error) {
	s, err := at.Open(ctx)
	switch {
	case errors.Is(err, boltstore.ErrLocked):
		return nil, cli.Errorf(cli.ExitUnreachable, "a running gate has the store %s open, so nothing can be copied to it: stop that gate, or repeat "+
			"the changes there with \"docsgate keys\"", at.Name())
	case err != nil:
		return nil, cli.Errorf(cli.ExitUnreachable, "%w", err)
	}
	return s, nil
}

// createTarget creates a store file that does not exist, as a copy of another one.
func createTarget(path, from string) (created bool, err error) {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return false, err
	}
	err = writeFile(path, false, func(w io.Writer) error {
		source, err := os.Open(from)
		if err != nil {
			return err
		}
		defer source.Close()
		_, err = io.Copy(w, source)
		return err
	})
	return err == nil, err
}
