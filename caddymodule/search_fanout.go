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
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/upstream"
)

// maxConcurrentSearches is how many of a key's sources are searched at the same time for one request.
const maxConcurrentSearches = 4

var (
	errSearchTooLarge = errors.New("the answer is too large")
	errSourceNotFound = errors.New("DocsGPT does not find it: it must belong to the account of upstream_token, or be shared with it")
	errNotAllowed     = errors.New("DocsGPT does not let upstream_token search it: it may be confined to other sources, or lack chat:run")
	errNotSearched    = errors.New("DocsGPT did not search it")
)

// isFanOut tells whether the request is answered by asking about each source of the key by itself.
func (x *gatewayRequest) isFanOut() bool {
	return x.endpoint.FanOut && x.key != nil && x.key.Binding.Kind() == keys.SourceBinding
}

// rewriteSearch makes the body that is sent for each source.
func (x *gatewayRequest) rewriteSearch() *apiError {
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
func (x *gatewayRequest) searchSources() {
	parts := x.askSources(x.key.Binding.Sources)
	x.slot.Release() // before the client reads
	if cause := x.aborted(); errors.Is(cause, errShuttingDown) {
		x.writeRefusal(&shuttingDown.Error)
		return
	} else if cause != nil {
		return // the client does not read it
	}
	var lists [][]docsgpt.Result
	var first *docsgpt.Error
	for i := range parts {
		hits, no := x.parseResult(&parts[i])
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

// parseResult makes hits of an answer, or a refusal that is counted and logged.
func (x *gatewayRequest) parseResult(p *sourceResult) ([]docsgpt.Result, *docsgpt.Error) {
	err := p.err
	var no *docsgpt.Error
	switch {
	case err != nil:
		no = errorFor(err)
	case p.status == http.StatusNotFound:
		no, err = docsgpt.MapError(x.endpoint, p.status, p.header, p.body), errSourceNotFound
	case p.status == http.StatusForbidden:
		no, err = docsgpt.MapError(x.endpoint, p.status, p.header, p.body), errNotAllowed
	case p.status < 200 || p.status > 299:
		no, err = docsgpt.MapError(x.endpoint, p.status, p.header, p.body), errNotSearched
	default:
		var hits []docsgpt.Result
		if hits, err = docsgpt.ReadHits(p.body, p.source); err == nil {
			return hits, nil
		}
		no = docsgpt.MapError(x.endpoint, http.StatusBadGateway, p.header, p.body)
	}
	x.logUpstreamError(no, p.status, fmt.Errorf("source %s: %w", p.source, err))
	return nil, no
}

// askSources asks about all sources, some at a time.
func (x *gatewayRequest) askSources(sources []string) []sourceResult {
	parts := make([]sourceResult, len(sources))
	room := make(chan struct{}, maxConcurrentSearches)
	var asked sync.WaitGroup
	for i, source := range sources {
		parts[i] = sourceResult{source: source, header: http.Header{}}
		room <- struct{}{}
		asked.Go(func() {
			defer func() { <-room }()
			p := &parts[i]
			// Elsewhere a handler's panic ends one request; in a goroutine of its own it would end the process.
			defer func() { p.broken = recover() }()
			if x.handler.upstream != nil {
				p.err = x.searchUpstream(p)
			} else {
				p.err = x.searchNext(p)
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

// sourceResult is the search of one source: the request's answer, kept whole. It is the response writer of the next handler.
type sourceResult struct {
	source string
	status int
	header http.Header
	body   []byte
	begun  bool
	err    error
	broken any // what a handler panicked with
}

// searchUpstream asks over the gate's own connections.
func (x *gatewayRequest) searchUpstream(p *sourceResult) error {
	ctx, stop := context.WithCancelCause(x.ctx)
	defer stop(nil)
	header := x.header.Clone()
	completeHeader(header, x.r)
	body := upstream.NewBuffer(len(x.buffer.Bytes))
	body.Bytes = append(body.Bytes, x.buffer.Bytes...)
	up := x.handler.upstream
	resp, err := up.Send(ctx, stop, upstream.Request{
		Method: http.MethodPost, Path: docsgpt.SourceSearchPath(p.source), Header: header, Body: body,
	})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	p.status, p.header = resp.StatusCode, resp.Header
	return upstream.Copy(ctx, stop, resp.Body, up.IdleTimeout(), func(piece []byte) error {
		_, err := p.Write(piece)
		return err
	})
}

// searchNext asks through the next handler. Each call is a request of its own to Caddy, with its own variables and
// placeholders, since several run at once.
func (x *gatewayRequest) searchNext(p *sourceResult) error {
	r := x.nextRequest()
	r.Header = x.header.Clone()
	r.URL = &url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host, Path: docsgpt.SourceSearchPath(p.source)}
	r.RequestURI = r.URL.RequestURI()
	server, _ := x.r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), p, server)
	err := callNext(x.next, p, &p.begun, r)
	if err == nil && !p.begun {
		err = errNoHandler
	}
	return err
}

// Header implements http.ResponseWriter.
func (p *sourceResult) Header() http.Header { return p.header }

// WriteHeader implements http.ResponseWriter. Informational answers are left out.
func (p *sourceResult) WriteHeader(status int) {
	if !p.begun && status >= 200 {
		p.begun, p.status = true, status
	}
}

// Write implements http.ResponseWriter.
func (p *sourceResult) Write(piece []byte) (int, error) {
	if p.status == 0 {
		p.WriteHeader(http.StatusOK)
	}
	if len(p.body)+len(piece) > maxBufferedBody {
		return 0, errSearchTooLarge
	}
	p.body = append(p.body, piece...)
	return len(piece), nil
}

// FlushError lets handlers flush; the answer waits for its end.
func (p *sourceResult) FlushError() error { return nil }
