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

// openFile opens a store that no gate has open, and gives it an API of its own.
func openFile(ctx context.Context, path string) (_ *client, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, failf(exitUnreachable, "making the folder of the store: %w", err)
	}
	storage, err := boltstore.Open(ctx, boltstore.Options{Path: path})
	if errors.Is(err, boltstore.ErrLocked) {
		return nil, failf(exitUnreachable, "a running gate has the store %s open, but its admin endpoint was not found: name it "+
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
	// What placeholders stand for is known only to the gate, whose environment and files they name.
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

// osUser is the name of who runs this process, fit for a header.
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

// handlerTransport is a transport to a handler in this process. Answers are streamed.
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
				_ = writer.CloseWithError(fmt.Errorf("the answer broke off: %v", reason))
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
	if err := r.Context().Err(); err != nil { // also where both are so: the end of a handler that gave up is no answer
		_ = reader.Close()
		return nil, err
	}
	return &http.Response{
		Status: http.StatusText(w.status), StatusCode: w.status, Header: w.sent, Body: reader, ContentLength: -1,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
	}, nil
}

// pipeWriter is the http.ResponseWriter of an handlerTransport.
type pipeWriter struct {
	header http.Header
	body   *io.PipeWriter
	begun  chan struct{} // closed with the first byte or the status; what follows is set before
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
