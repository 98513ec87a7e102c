package upstream

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

// transport sends requests that http1.Client cannot send.
type transport struct{ *http.Transport }

// template is copied for each request.
var template = &http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}

func newTransport(c *Config) transport {
	dialer := &net.Dialer{Timeout: c.DialTimeout}
	dial := dialer.DialContext
	if socket := c.Address.Socket; socket != "" {
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", socket)
		}
	}
	return transport{&http.Transport{
		DialContext:         dial,
		TLSClientConfig:     c.TLS,
		TLSHandshakeTimeout: c.DialTimeout,
		IdleConnTimeout:     c.IdleConnTimeout,
		MaxIdleConnsPerHost: maxIdleConns,
		// A compressed response could not be relayed event by event.
		DisableCompression: true,
	}}
}

// send is Send. [http.Transport] sends a POST with GetBody again only if nothing of it was written.
func (t transport) send(ctx context.Context, stop context.CancelCauseFunc, c *Config, r Request) (*http.Response, error) {
	target := *c.Address.URL
	target.Path, target.RawQuery = target.Path+r.Path, r.Query
	hasBody := r.Body != nil && r.Body.Len() > 0
	if r.Body != nil {
		sent := &bodyRef{body: r.Body}
		defer sent.end()
		ctx = sent.withTrace(ctx)
	}
	req := template.WithContext(ctx)
	req.Method, req.URL, req.Host, req.Header = r.Method, &target, target.Host, r.Header
	if hasBody {
		req.GetBody = func() (io.ReadCloser, error) { return r.Body.Open(), nil }
		req.ContentLength = r.Body.Len()
	}
	watch := time.AfterFunc(c.ResponseHeaderTimeout, func() { stop(ErrTimeout) })
	defer watch.Stop()
	for {
		if hasBody {
			req.Body = r.Body.Open()
		}
		resp, err := t.RoundTrip(req)
		if err == nil {
			return resp, nil
		}
		// The transport returns this error only for a connection that was closed before it took the request. It does not
		// retry then, and does not export the error.
		if err.Error() != "http: server closed idle connection" {
			return nil, classify(ctx, err)
		}
	}
}

// bodyRef releases a body when it is no longer needed. The connection pool may still read the body after it has returned
// the response, and may send it again over another connection.
type bodyRef struct {
	body Body

	mu              sync.Mutex
	begun, finished int  // connections obtained for the request, and those that it was written to
	over            bool // the pool has returned the response or an error, and tries no further connection
}

// withTrace returns the context with which the request must be sent.
func (s *bodyRef) withTrace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn:      func(httptrace.GotConnInfo) { s.update(func() { s.begun++ }) },
		WroteRequest: func(httptrace.WroteRequestInfo) { s.update(func() { s.finished++ }) },
	})
}

// end must be called when the pool has returned the response or an error.
func (s *bodyRef) end() { s.update(func() { s.over = true }) }

// update changes the state, and releases the body when the state becomes done. If a connection fails before it takes the
// request, the state never becomes done, and the garbage collector frees the body.
func (s *bodyRef) update(do func()) {
	s.mu.Lock()
	before := s.done()
	do()
	now := s.done()
	s.mu.Unlock()
	if now && !before {
		s.body.Release()
	}
}

func (s *bodyRef) done() bool { return s.over && s.begun == s.finished }
