package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"
)

// Default timeouts of an upstream.
const (
	DefaultDialTimeout = 5 * time.Second
	// DefaultResponseHeaderTimeout is long: a model may think for minutes, and a response that is not a stream
	// starts only when the text is complete.
	DefaultResponseHeaderTimeout = 10 * time.Minute
	// DefaultIdleTimeout is the longest silence in a stream. DocsGPT before 0.19 sends nothing while a tool runs.
	DefaultIdleTimeout = 5 * time.Minute
	// DefaultIdleConnTimeout is how long an idle connection is kept. DocsGPT's servers close theirs after 5 s, sometimes
	// after 4.7 s. Closing it on both sides at the same time would fail a request.
	DefaultIdleConnTimeout = 4 * time.Second
)

// Config is the address and the timeouts of an upstream. Zero durations mean the defaults.
type Config struct {
	Address               Address
	DialTimeout           time.Duration // for connecting and for the TLS handshake
	ResponseHeaderTimeout time.Duration // from sending the request to the headers of the response
	IdleTimeout           time.Duration // between two chunks of a response
	IdleConnTimeout       time.Duration // of idle connections
	TLS                   *tls.Config   // for https; nil: the system's roots
}

// Upstream sends requests to one address over its own connections. It is safe for concurrent use.
type Upstream struct {
	config    Config
	transport *http.Transport
	template  *http.Request // of each request
}

// New returns an upstream. It does not connect yet.
func New(c Config) *Upstream {
	setDefault(&c.DialTimeout, DefaultDialTimeout)
	setDefault(&c.ResponseHeaderTimeout, DefaultResponseHeaderTimeout)
	setDefault(&c.IdleTimeout, DefaultIdleTimeout)
	setDefault(&c.IdleConnTimeout, DefaultIdleConnTimeout)
	dialer := &net.Dialer{Timeout: c.DialTimeout}
	dial := dialer.DialContext
	if c.Address.Socket != "" {
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", c.Address.Socket)
		}
	}
	template := &http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	return &Upstream{config: c, template: template, transport: &http.Transport{
		DialContext:         dial,
		TLSClientConfig:     c.TLS,
		TLSHandshakeTimeout: c.DialTimeout,
		IdleConnTimeout:     c.IdleConnTimeout,
		MaxIdleConnsPerHost: 1024,
		// A compressed response could not be relayed event by event.
		DisableCompression: true,
	}}
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

// Close closes the idle connections. Requests in flight continue.
func (u *Upstream) Close() { u.transport.CloseIdleConnections() }

// IdleTimeout returns the longest allowed silence in a response.
func (u *Upstream) IdleTimeout() time.Duration { return u.config.IdleTimeout }

// Request is a request to send. Send takes ownership of Header and Body, and releases the body when it is no longer needed.
type Request struct {
	Method string
	Path   string // canonical, begins with a slash
	Query  string // encoded, without the question mark
	Header http.Header
	Body   Body // nil: none
}

// Send sends the request and returns the response when its headers have arrived; the caller must close its body. When ctx
// ends, the connection is closed immediately. If the headers take too long, Send calls stop, the cancel function of ctx,
// with [ErrTimeout]. That includes an upstream that accepts a connection and never reads the request.
//
// If the upstream has closed an idle connection, Send uses another one only if nothing of the request was written: a
// question must not be answered, and paid for, twice. [http.Transport] does so for a POST with GetBody. The error is
// [ErrUnavailable], [ErrTimeout] or the cause of ctx.
func (u *Upstream) Send(ctx context.Context, stop context.CancelCauseFunc, r Request) (*http.Response, error) {
	target := *u.config.Address.URL
	target.Path, target.RawQuery = target.Path+r.Path, r.Query
	hasBody := r.Body != nil && r.Body.Len() > 0
	if r.Body != nil {
		sent := &bodyRef{body: r.Body}
		defer sent.end()
		ctx = sent.withTrace(ctx)
	}
	req := u.template.WithContext(ctx)
	req.Method, req.URL, req.Host, req.Header = r.Method, &target, target.Host, r.Header
	if hasBody {
		req.GetBody = func() (io.ReadCloser, error) { return r.Body.Open(), nil }
		req.ContentLength = r.Body.Len()
	}
	watch := time.AfterFunc(u.config.ResponseHeaderTimeout, func() { stop(ErrTimeout) })
	defer watch.Stop()
	for {
		if hasBody {
			req.Body = r.Body.Open()
		}
		resp, err := u.transport.RoundTrip(req)
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

// Errors of an upstream. [Error] adds the cause, for logs.
var (
	ErrUnavailable = errors.New("the upstream cannot be reached")
	ErrTimeout     = errors.New("the upstream took too long to respond")
	ErrIdleTimeout = errors.New("the upstream stopped sending")
	ErrTruncated   = errors.New("the upstream's response was truncated")
)

// Error is one of the errors above, in Kind, and its cause.
type Error struct{ Kind, Cause error }

// Error implements error.
func (e *Error) Error() string { return e.Kind.Error() + ": " + e.Cause.Error() }

// Unwrap makes errors.Is match both.
func (e *Error) Unwrap() []error { return []error{e.Kind, e.Cause} }

func classify(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var address *url.Error
	if errors.As(err, &address) {
		err = address.Err
	}
	var op *net.OpError
	var slow net.Error
	if errors.As(err, &slow) && slow.Timeout() && (!errors.As(err, &op) || op.Op != "dial") {
		return &Error{ErrTimeout, err}
	}
	return &Error{ErrUnavailable, err}
}
