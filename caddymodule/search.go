package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/forward"
	"github.com/docsgate/docsgate/keys"
)

// searchesAtOnce is how many of a key's sources are searched at the same time for one request.
const searchesAtOnce = 4

var (
	errLongSearch  = errors.New("the answer is too large")
	errNotThere    = errors.New("DocsGPT does not find it: it must belong to the account of upstream_token, or be shared with it")
	errNotAllowed  = errors.New("DocsGPT does not let upstream_token search it: it may be confined to other sources, or lack chat:run")
	errNotSearched = errors.New("DocsGPT did not search it")
)

// eachSource tells whether the request is answered by asking about each source of the key by itself.
func (x *exchange) eachSource() bool {
	return x.endpoint.EachSource && x.key != nil && x.key.Binding.Kind() == keys.SourceBinding
}

// rewriteSearch makes the body that is sent for each source.
func (x *exchange) rewriteSearch() *refusal {
	query, err := x.body.SourceQuery()
	if err != nil {
		return badRequest(err)
	}
	x.header["Content-Type"] = jsonType
	x.buffer.Bytes = append(x.buffer.Bytes[:0], query...)
	return nil
}

// searchSources asks about each source of the key and gives the client one list. Like DocsGPT's own search it leaves
// out a source that cannot be searched, which is counted and logged; if none can, the client gets the first refusal.
func (x *exchange) searchSources() {
	parts := x.askSources(x.key.Binding.Sources)
	x.slot.Release() // before the client reads
	if cause := x.aborted(); errors.Is(cause, errShuttingDown) {
		x.writeRefusal(&shuttingDown.Refusal)
		return
	} else if cause != nil {
		return // the client does not read it
	}
	var lists [][]docsgpt.Hit
	var first *docsgpt.Refusal
	for i := range parts {
		hits, no := x.readPart(&parts[i])
		if no == nil {
			lists = append(lists, hits)
		} else if first == nil {
			first = no
		}
	}
	if lists == nil {
		x.writeRefusal(first)
		return
	}
	body := docsgpt.AppendHits(nil, docsgpt.MergeHits(lists))
	h := x.w.Header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	x.w.WriteHeader(http.StatusOK)
	_, _ = x.w.Write(body) // a client that is gone has no use for it
}

// readPart makes hits of an answer, or a refusal that is counted and logged.
func (x *exchange) readPart(p *part) ([]docsgpt.Hit, *docsgpt.Refusal) {
	err := p.err
	var no *docsgpt.Refusal
	switch {
	case err != nil:
		no = refusalFor(err)
	case p.status == http.StatusNotFound:
		no, err = docsgpt.Translate(x.endpoint, p.status, p.header, p.body), errNotThere
	case p.status == http.StatusForbidden:
		no, err = docsgpt.Translate(x.endpoint, p.status, p.header, p.body), errNotAllowed
	case p.status < 200 || p.status > 299:
		no, err = docsgpt.Translate(x.endpoint, p.status, p.header, p.body), errNotSearched
	default:
		var hits []docsgpt.Hit
		if hits, err = docsgpt.ReadHits(p.body, p.source); err == nil {
			return hits, nil
		}
		no = docsgpt.Translate(x.endpoint, http.StatusBadGateway, p.header, p.body)
	}
	x.upstreamFailed(no, p.status, fmt.Errorf("source %s: %w", p.source, err))
	return nil, no
}

// askSources asks about all sources, some at a time.
func (x *exchange) askSources(sources []string) []part {
	parts := make([]part, len(sources))
	room := make(chan struct{}, searchesAtOnce)
	var asked sync.WaitGroup
	for i, source := range sources {
		parts[i] = part{source: source, header: http.Header{}}
		room <- struct{}{}
		asked.Go(func() {
			defer func() { <-room }()
			p := &parts[i]
			// Elsewhere a handler's panic ends one request; in a goroutine of its own it would end the process.
			defer func() { p.broken = recover() }()
			if x.handler.upstream != nil {
				p.err = x.sendSearch(p)
			} else {
				p.err = x.handSearch(p)
			}
		})
	}
	asked.Wait()
	for i := range parts {
		if parts[i].broken != nil {
			panic(parts[i].broken)
		}
	}
	return parts
}

// part is the search of one source: the request's answer, kept whole. It is the response writer of the next handler.
type part struct {
	source string
	status int
	header http.Header
	body   []byte
	begun  bool
	err    error
	broken any // what a handler panicked with
}

// sendSearch asks over the gate's own connections.
func (x *exchange) sendSearch(p *part) error {
	ctx, stop := context.WithCancelCause(x.ctx)
	defer stop(nil)
	header := x.header.Clone()
	completeHeader(header, x.r)
	body := forward.NewBuffer(len(x.buffer.Bytes))
	body.Bytes = append(body.Bytes, x.buffer.Bytes...)
	up := x.handler.upstream
	resp, err := up.Send(ctx, stop, forward.Request{
		Method: http.MethodPost, Path: docsgpt.SourceSearchPath(p.source), Header: header, Body: body,
	})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	p.status, p.header = resp.StatusCode, resp.Header
	return forward.Relay(ctx, stop, resp.Body, up.IdleTimeout(), func(piece []byte) error {
		_, err := p.Write(piece)
		return err
	})
}

// handSearch asks through the next handler. Each call is a request of its own to Caddy, with its own variables and
// placeholders, since several run at once.
func (x *exchange) handSearch(p *part) error {
	r := x.rewritten()
	r.Header = x.header.Clone()
	r.URL = &url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host, Path: docsgpt.SourceSearchPath(p.source)}
	r.RequestURI = r.URL.RequestURI()
	server, _ := x.r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), p, server)
	err := serveNext(x.next, p, &p.begun, r)
	if err == nil && !p.begun {
		err = errNoHandler
	}
	return err
}

// Header implements http.ResponseWriter.
func (p *part) Header() http.Header { return p.header }

// WriteHeader implements http.ResponseWriter. Informational answers are left out.
func (p *part) WriteHeader(status int) {
	if !p.begun && status >= 200 {
		p.begun, p.status = true, status
	}
}

// Write implements http.ResponseWriter.
func (p *part) Write(piece []byte) (int, error) {
	if p.status == 0 {
		p.WriteHeader(http.StatusOK)
	}
	if len(p.body)+len(piece) > maxHeld {
		return 0, errLongSearch
	}
	p.body = append(p.body, piece...)
	return len(piece), nil
}

// FlushError lets handlers flush; the answer waits for its end.
func (p *part) FlushError() error { return nil }
