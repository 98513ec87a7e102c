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

// fanOutSources returns the sources that DocsGPT is asked to search one by one, or nil if it gets one request. key is nil if the
// endpoint takes no token.
func fanOutSources(e *endpoint, key *keys.Key) []string {
	if !e.FanOut || key == nil || key.Binding.Kind() != keys.SourceBinding {
		return nil
	}
	return key.Binding.Sources
}

// searchSources searches each source of the key and writes the merged results. Like DocsGPT's search it ignores a source that
// cannot be searched, which is counted and logged. If all searches fail, the client gets the first error.
func (c *client) searchSources(up *upstreamRequest, s *slot, next caddyhttp.Handler) {
	parts := c.askSources(up, next)
	s.Release() // before writing to the client
	cause := c.aborted()
	if apiErr := endedByGate(cause); apiErr != nil {
		c.writeErrorResponse(&apiErr.Error)
		return
	}
	if cause != nil {
		return // the client does not read the response
	}
	var lists [][]docsgpt.Result
	var first *docsgpt.Error
	for i := range parts {
		hits, apiErr := c.parseResult(&parts[i])
		if apiErr == nil {
			lists = append(lists, hits)
		} else if first == nil {
			first = apiErr
		}
	}
	if lists == nil {
		c.noteReason(first.Code, 0)
		c.writeErrorResponse(first)
		return
	}
	body := docsgpt.AppendHits(nil, docsgpt.MergeHits(lists))
	h, v := c.w.Header(), &c.responseValues
	v.set(h, "Content-Type", jsonType)
	v.set(h, "Content-Length", strconv.Itoa(len(body)))
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write(body) // the client may have disconnected
}

// parseResult returns the hits of a search, or its error, which is counted and logged.
func (c *client) parseResult(p *sourceResult) ([]docsgpt.Result, *docsgpt.Error) {
	err := p.err
	var apiErr *docsgpt.Error
	switch {
	case err != nil:
		apiErr = errorFor(err)
	case p.status == http.StatusNotFound:
		apiErr, err = docsgpt.MapError(c.endpoint.Endpoint, p.status, p.header, p.body), errSourceNotFound
	case p.status == http.StatusForbidden:
		apiErr, err = docsgpt.MapError(c.endpoint.Endpoint, p.status, p.header, p.body), errNotAllowed
	case p.status < 200 || p.status > 299:
		apiErr, err = docsgpt.MapError(c.endpoint.Endpoint, p.status, p.header, p.body), errNotSearched
	default:
		var hits []docsgpt.Result
		if hits, err = docsgpt.ReadHits(p.body, p.source); err == nil {
			return hits, nil
		}
		apiErr = docsgpt.MapError(c.endpoint.Endpoint, http.StatusBadGateway, p.header, p.body)
	}
	c.logUpstreamError(apiErr, p.status, fmt.Errorf("source %s: %w", p.source, err))
	return nil, apiErr
}

// askSources searches all sources, up to maxConcurrentSearches concurrently.
func (c *client) askSources(up *upstreamRequest, next caddyhttp.Handler) []sourceResult {
	parts := make([]sourceResult, len(up.sources))
	slots := make(chan struct{}, maxConcurrentSearches)
	var wg sync.WaitGroup
	for i, source := range up.sources {
		parts[i] = sourceResult{source: source, header: http.Header{}}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			p := &parts[i]
			// A panic in a separate goroutine would end the process; it is re-raised in the request's goroutine.
			defer func() { p.panicValue = recover() }()
			if c.handler.upstream != nil {
				p.err = c.searchUpstream(up, p)
			} else {
				p.err = c.searchNext(up, p, next)
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
func (c *client) searchUpstream(up *upstreamRequest, p *sourceResult) error {
	ctx, stop := context.WithCancelCause(c.ctx)
	defer stop(nil)
	header := up.header.Clone()
	addProxyHeaders(header, new(headerValues), c.r) // the other searches run concurrently
	query := up.body.(*upstream.Buffer).Bytes
	body := upstream.NewBuffer(len(query))
	body.Bytes = append(body.Bytes, query...)
	resp, err := c.handler.upstream.Send(ctx, stop, upstream.Request{
		Method: http.MethodPost, Path: docsgpt.SourceSearchPath(p.source), Header: header, Body: body,
	})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	p.status, p.header = resp.StatusCode, resp.Header
	return upstream.Copy(ctx, stop, resp.Body, c.handler.upstream.IdleTimeout(), upstream.SinkFunc(func(chunk []byte) error {
		_, err := p.Write(chunk)
		return err
	}))
}

// searchNext searches through the next handler. Each call has its own variables and placeholders of Caddy, since calls run
// concurrently.
func (c *client) searchNext(up *upstreamRequest, p *sourceResult, next caddyhttp.Handler) error {
	r := nextRequest(c, up)
	r.Header = up.header.Clone()
	r.URL = &url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host, Path: docsgpt.SourceSearchPath(p.source)}
	r.RequestURI = r.URL.RequestURI()
	server, _ := c.r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), p, server)
	err := callNext(next, p, &p.wroteHeader, r)
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
