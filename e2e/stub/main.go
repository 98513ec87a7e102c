// Command stub serves the demo backend on one loopback address and the requests that the backend recorded on a second one,
// for tests in another process.
//
// The backend's keys, tokens and sources are read as JSON from standard input, because arguments are visible to other users:
//
//	{
//	  "label": "stub", "keys": {"<agent key>": ["<source id>"]}, "tokens": {}, "sources": {"<source id>": "<title>"},
//	  "answers": {"<question>": "<answer>"}
//	}
//
// The addresses are printed as one line of JSON: {"backend": "127.0.0.1:…", "calls": "127.0.0.1:…"}.
// GET <calls>/_calls returns the recorded requests, DELETE <calls>/_calls deletes them.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/docsgate/docsgate/internal/docsgpttest"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address of the backend")
	open := flag.Bool("open", false, "treat requests without a credential as the owner's, as with AUTH_TYPE unset")
	delay := flag.Duration("delay", 5*time.Millisecond, "time between two pieces of an answer")
	flag.Parse()
	if err := run(*listen, *open, *delay); err != nil {
		fmt.Fprintln(os.Stderr, "stub:", err)
		os.Exit(1)
	}
}

func run(listen string, open bool, delay time.Duration) error {
	var config struct {
		Label   string
		Keys    map[string][]string
		Tokens  map[string][]string
		Sources map[string]string
		Answers map[string]string
	}
	if err := json.NewDecoder(os.Stdin).Decode(&config); err != nil {
		return fmt.Errorf("reading the keys from standard input: %w", err)
	}
	b := docsgpttest.New(docsgpttest.Options{
		Label: config.Label, Keys: config.Keys, Tokens: config.Tokens, Sources: config.Sources, Answers: config.Answers,
		Open: open, Delay: delay,
	})

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	failed := make(chan error, 2)
	addresses := map[string]string{}
	for name, server := range map[string]struct {
		listen  string
		handler http.Handler
	}{
		"backend": {listen, b},
		"calls":   {"127.0.0.1:0", calls(b)},
	} {
		listener, err := net.Listen("tcp", server.listen)
		if err != nil {
			return fmt.Errorf("listening for %s: %w", name, err)
		}
		s := &http.Server{Handler: server.handler, ReadHeaderTimeout: 10 * time.Second}
		defer s.Close() // aborts open streams, as a dying backend does
		go func() { failed <- s.Serve(listener) }()
		addresses[name] = listener.Addr().String()
	}
	if err := json.NewEncoder(os.Stdout).Encode(addresses); err != nil {
		return fmt.Errorf("printing the addresses: %w", err)
	}
	select {
	case <-ctx.Done():
		return nil
	case err := <-failed:
		if errors.Is(err, http.ErrServerClosed) {
			return nil
		}
		return err
	}
}

// calls serves the recorded requests of b.
func calls(b *docsgpttest.Backend) http.Handler {
	type call struct {
		Method   string      `json:"method"`
		Path     string      `json:"path"`
		Query    string      `json:"query"`
		Header   http.Header `json:"header"`
		Body     string      `json:"body"`
		Canceled bool        `json:"canceled"`
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_calls", func(w http.ResponseWriter, _ *http.Request) {
		list := []call{}
		for _, c := range b.Calls() {
			list = append(list, call{c.Method, c.Path, c.RawQuery, c.Header, string(c.Body), c.Canceled})
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(list) // the test detects a truncated response
	})
	mux.HandleFunc("DELETE /_calls", func(w http.ResponseWriter, _ *http.Request) {
		b.Reset()
		w.WriteHeader(http.StatusNoContent)
	})
	return mux
}
