// Command preview serves the page for keys with made-up keys, for looking at it and for tests in a browser. It prints its
// address. With login set, the admin token is "preview".
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/docsgate/docsgate/console/ui"
	"github.com/docsgate/docsgate/console/ui/internal/fixtures"
	"github.com/docsgate/docsgate/keys/registry"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on")
	data := flag.String("data", "usual", "keys that are there: none, usual, hostile or many")
	login := flag.Bool("login", false, "ask for a token")
	flag.Parse()
	if err := serve(*listen, *data, *login); err != nil {
		log.Fatal(err)
	}
}

func serve(listen, data string, login bool) error {
	dir, err := os.MkdirTemp("", "docsgate-preview-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d, err := desk(context.Background(), dir, data)
	if err != nil {
		return err
	}
	o := ui.Options{
		Service: &d.Service,
		Actor:   func(*http.Request) registry.Actor { return fixtures.TestActor },
		User:    func(*http.Request) string { return fixtures.TestActor.Name },
		Feeds: func() []string {
			return []string{d.Feed, fixtures.ReadOnlyFeed{}.Name(), "docsgpt:db.example.com:5432/docsgpt"}
		},
		OnError: func(_ *http.Request, err error) { log.Print(err) },
	}
	if login {
		o.SignIn = func(_ http.ResponseWriter, _ *http.Request, token string) error {
			switch token {
			case "preview":
				return nil
			case "flood":
				return &ui.SignInError{Status: http.StatusTooManyRequests, Text: "Too many attempts: wait a minute."}
			}
			return fmt.Errorf("another token")
		}
		o.SignOut = func(http.ResponseWriter, *http.Request) error { return nil }
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	fmt.Printf("http://%s/\n", l.Addr())
	server := &http.Server{Handler: ui.New(o), ReadHeaderTimeout: 10 * time.Second}
	return server.Serve(l)
}

func desk(ctx context.Context, dir, data string) (*fixtures.Fixture, error) {
	now := time.Now()
	var other fixtures.ReadOnlyFeed
	if data != "none" {
		other = fixtures.FileKeys(now)
	}
	d, err := fixtures.New(ctx, dir, now, other)
	if err != nil {
		return nil, err
	}
	d.Registry.ApplyOverrides(d.Store)
	switch data {
	case "usual":
		if err = d.Fill(ctx); err == nil {
			_, err = d.Store.Replace("docsgpt:db.example.com:5432/docsgpt", fixtures.AdoptedKeys())
		}
		if err == nil {
			err = d.FillUse(ctx)
		}
		if err == nil {
			err = d.FillHistory(dir)
		}
	case "hostile":
		err = d.FillHostile(ctx)
	case "many":
		for range 20 {
			if err = d.Fill(ctx); err != nil {
				break
			}
		}
	}
	d.Now = time.Now
	return d, err
}
