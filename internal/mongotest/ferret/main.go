// Command ferret is a server that speaks MongoDB's protocol: FerretDB with SQLite in the folder that is its argument, on a free
// loopback port. It prints its address as the first line and ends when its standard input ends, so it never outlives the tests that
// started it. It is a separate module to keep FerretDB out of docsgate's dependencies.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 2 {
		return errors.New("usage: ferret FOLDER")
	}
	// With an in-memory database it stops responding after two concurrent updates.
	data := url.URL{Scheme: "file", Path: strings.TrimSuffix(filepath.ToSlash(os.Args[1]), "/") + "/", RawQuery: "_pragma=synchronous(off)"}
	server, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{TCP: "127.0.0.1:0"},
		Handler:   "sqlite",
		SQLiteURL: data.String(),
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return fmt.Errorf("creating the server: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, os.Stdin) // only its end matters
	}()
	go fmt.Println(server.MongoDBURI())
	if err := server.Run(ctx); err != nil {
		return fmt.Errorf("running the server: %w", err)
	}
	return nil
}
