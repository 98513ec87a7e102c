package commands

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"sync"

	"github.com/docsgate/docsgate/console/api"
	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/boltstore"
	"github.com/docsgate/docsgate/keys/keyindex"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
)

// openFile opens a store file that no gate has open, and returns a client of an in-process API for it.
func openFile(ctx context.Context, path string) (_ *client, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, failf(exitUnreachable, "creating the directory of the store: %w", err)
	}
	storage, err := boltstore.Open(ctx, boltstore.Options{Path: path})
	if errors.Is(err, boltstore.ErrLocked) {
		return nil, failf(exitUnreachable, "a running gate has the store %s open, but its admin endpoint was not found: name the endpoint "+
			"with --address, or with the --config that the gate runs with", path)
	}
	if err != nil {
		return nil, failf(exitUnreachable, "%w", err)
	}
	meter := usage.NewMeter()
	reg, err := registry.New(registry.Options{Storage: storage, Sealer: registry.NewSealer(path + ".secret"), Usage: meter})
	if err != nil {
		return nil, failf(exitUnreachable, "%w", errors.Join(err, storage.Close()))
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, reg.Close())
		}
	}()
	// Placeholders stay as they are: only the gate can resolve them, in its environment.
	reg.SetRules(registry.Policy{Resolve: func(placeholder string) (string, error) { return placeholder, nil }})

	store, listing, feed := keys.NewStore(), keyindex.New(), reg.Feed()
	store.Listen(listing)
	syncer := keys.NewSyncer(store, []keys.Feed{feed}, nil)
	if err := syncer.LoadAll(ctx); err != nil {
		return nil, failf(exitUnreachable, "%w", err)
	}
	stop := reg.OnChange(func(ctx context.Context) error { return syncer.Sync(ctx, feed.Name()) })
	who := "command line (" + osUser() + ")"
	handler := api.New(api.Options{
		Service: &keyservice.Service{Registry: reg, Index: listing, Store: store, Usage: meter, Feed: feed.Name(), AnyAgent: true},
		Actor:   func(*http.Request) registry.Actor { return registry.Actor{Name: who, RemoteAddr: "local file"} },
	})
	local := &handlerTransport{handler: handler}
	return &client{
		client: &http.Client{Transport: local},
		base:   "http://localhost",
		name:   "the store " + path,
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

// handlerTransport is a transport to a handler in this process. Responses are streamed.
type handlerTransport struct {
	handler http.Handler
	running sync.WaitGroup
}

// RoundTrip implements http.RoundTripper.
func (p *handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	served := r.Clone(r.Context())
	served.RequestURI = r.URL.RequestURI()
	if served.Body == nil {
		served.Body = http.NoBody
	}
	if served.Host == "" {
		served.Host = r.URL.Host
	}
	reader, writer := io.Pipe()
	w := &pipeWriter{header: http.Header{}, body: writer, begun: make(chan struct{})}
	p.running.Go(func() {
		defer func() {
			_ = served.Body.Close()
			if reason := recover(); reason != nil {
				w.WriteHeader(http.StatusInternalServerError)
				_ = writer.CloseWithError(fmt.Errorf("the handler panicked: %v", reason))
				return
			}
			w.WriteHeader(http.StatusOK)
			_ = writer.Close()
		}()
		p.handler.ServeHTTP(w, served)
	})
	select {
	case <-w.begun:
	case <-r.Context().Done():
	}
	if err := r.Context().Err(); err != nil { // even if a response has begun: a canceled handler may have written half of it
		_ = reader.Close()
		return nil, err
	}
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Header: w.sent, Body: reader, ContentLength: -1,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
	}, nil
}

// pipeWriter is the http.ResponseWriter of a handlerTransport.
type pipeWriter struct {
	header http.Header
	body   *io.PipeWriter
	begun  chan struct{} // closed when the status is written; status and sent are set before
	once   sync.Once
	status int
	sent   http.Header
}

func (w *pipeWriter) Header() http.Header { return w.header }

func (w *pipeWriter) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.begun)
	})
}

func (w *pipeWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

func (w *pipeWriter) Flush() {}
