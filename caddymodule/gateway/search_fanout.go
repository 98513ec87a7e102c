package gateway

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

	"github.com/docsgate/docsgate/caddymodule/lifecycle"
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/upstream"
)

// maxConcurrentSearches is the maximum number of sources that are searched concurrently for one request.
const maxConcurrentSearches = 4

var (
	errSearchTooLarge = errors.New("the response is too large")
	errSourceNotFound = errors.New("DocsGPT did not find it: it must belong to the account of upstream_token, or be shared with it")
	errNotAllowed     = errors.New("DocsGPT does not permit upstream_token to search it: the token may be limited to other sources, or lack the scope chat:run")
	errNotSearched    = errors.New("DocsGPT did not search it")
)

// isFanOut reports whether the request is forwarded once per source of the key.
func (x *gatewayRequest) isFanOut() bool {
	return x.endpoint.FanOut && x.key != nil && x.key.Binding.Kind() == keys.SourceBinding
}

// rewriteSearch rewrites the body, which is the same for all sources.
func (x *gatewayRequest) rewriteSearch() *apiError {
	query, err := x.body.SourceQuery()
	if err != nil {
		return badRequest(err)
	}
	x.header["Content-Type"] = jsonType
	x.buffer.Bytes = append(x.buffer.Bytes[:0], query...)
	return nil
}

// searchSources searches each source of the key and writes the merged results. Like DocsGPT's search it ignores a source that
// cannot be searched, which is counted and logged. If all searches fail, the client gets the first error.
func (x *gatewayRequest) searchSources() {
	parts := x.askSources(x.key.Binding.Sources)
	x.slot.Release() // before writing to the client
	if cause := x.aborted(); errors.Is(cause, lifecycle.ErrShuttingDown) {
		x.writeErrorResponse(&errShuttingDown.Error)
		return
	} else if cause != nil {
		return // the client does not read the response
	}
	var lists [][]docsgpt.Result
	var first *docsgpt.Error
	for i := range parts {
		hits, apiErr := x.parseResult(&parts[i])
		if apiErr == nil {
			lists = append(lists, hits)
		} else if first == nil {
			first = apiErr
		}
	}
	if lists == nil {
		x.writeErrorResponse(first)
		return
	}
	body := docsgpt.AppendHits(nil, docsgpt.MergeHits(lists))
	h := x.w.Header()
	h["Content-Type"] = jsonType
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	x.w.WriteHeader(http.StatusOK)
	_, _ = x.w.Write(body) // the client may have disconnected
}

// parseResult returns the hits of a search, or its error, which is counted and logged.
func (x *gatewayRequest) parseResult(p *sourceResult) ([]docsgpt.Result, *docsgpt.Error) {
	err := p.err
	var apiErr *docsgpt.Error
	switch {
	case err != nil:
		apiErr = errorFor(err)
	case p.status == http.StatusNotFound:
		apiErr, err = docsgpt.MapError(x.endpoint, p.status, p.header, p.body), errSourceNotFound
	case p.status == http.StatusForbidden:
		apiErr, err = docsgpt.MapError(x.endpoint, p.status, p.header, p.body), errNotAllowed
	case p.status < 200 || p.status > 299:
		apiErr, err = docsgpt.MapError(x.endpoint, p.status, p.header, p.body), errNotSearched
	default:
		var hits []docsgpt.Result
		if hits, err = docsgpt.ReadHits(p.body, p.source); err == nil {
			return hits, nil
		}
		apiErr = docsgpt.MapError(x.endpoint, http.StatusBadGateway, p.header, p.body)
	}
	x.logUpstreamError(apiErr, p.status, fmt.Errorf("source %s: %w", p.source, err))
	return nil, apiErr
}

// askSources searches all sources, up to maxConcurrentSearches concurrently.
func (x *gatewayRequest) askSources(sources []string) []sourceResult {
	parts := make([]sourceResult, len(sources))
	slots := make(chan struct{}, maxConcurrentSearches)
	var wg sync.WaitGroup
	for i, source := range sources {
		parts[i] = sourceResult{source: source, header: http.Header{}}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			p := &parts[i]
			// A panic in a separate goroutine would end the process; it is re-raised in the request's goroutine.
			defer func() { p.panicValue = recover() }()
			if x.handler.upstream != nil {
				p.err = x.searchUpstream(p)
			} else {
				p.err = x.searchNext(p)
			}
		})
	}
	wg.Wait()
	for i := range parts {
		if parts[i].panicValue != nil {
			panic(parts[i].panicValue)
		}
	}
	return parts
}

// sourceResult is the buffered response of one search. It is the response writer for the next handler.
type sourceResult struct {
	source      string
	status      int
	header      http.Header
	body        []byte
	wroteHeader bool
	err         error
	panicValue  any // recovered from the handler
}

// searchUpstream searches over the built-in upstream connections.
func (x *gatewayRequest) searchUpstream(p *sourceResult) error {
	ctx, stop := context.WithCancelCause(x.ctx)
	defer stop(nil)
	header := x.header.Clone()
	addProxyHeaders(header, x.r)
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
	return upstream.Copy(ctx, stop, resp.Body, up.IdleTimeout(), func(chunk []byte) error {
		_, err := p.Write(chunk)
		return err
	})
}

// searchNext searches through the next handler. Each call has its own variables and placeholders of Caddy, since calls run
// concurrently.
func (x *gatewayRequest) searchNext(p *sourceResult) error {
	r := x.nextRequest()
	r.Header = x.header.Clone()
	r.URL = &url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host, Path: docsgpt.SourceSearchPath(p.source)}
	r.RequestURI = r.URL.RequestURI()
	server, _ := x.r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), p, server)
	err := callNext(x.next, p, &p.wroteHeader, r)
	if err == nil && !p.wroteHeader {
		err = errNoHandler
	}
	return err
}

// Header implements http.ResponseWriter.
func (p *sourceResult) Header() http.Header { return p.header }

// WriteHeader implements http.ResponseWriter. Informational responses are dropped.
func (p *sourceResult) WriteHeader(status int) {
	if !p.wroteHeader && status >= 200 {
		p.wroteHeader, p.status = true, status
	}
}

// Write implements http.ResponseWriter.
func (p *sourceResult) Write(chunk []byte) (int, error) {
	if p.status == 0 {
		p.WriteHeader(http.StatusOK)
	}
	if len(p.body)+len(chunk) > maxBufferedBody {
		return 0, errSearchTooLarge
	}
	p.body = append(p.body, chunk...)
	return len(chunk), nil
}

// FlushError does nothing, since the response is buffered.
func (p *sourceResult) FlushError() error { return nil }
