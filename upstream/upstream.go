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

// Defaults of an upstream's times.
const (
	DefaultDialTimeout = 5 * time.Second
	// DefaultResponseHeaderTimeout is long: models think for minutes, and a request that is not streamed is answered only
	// when the whole text is there.
	DefaultResponseHeaderTimeout = 10 * time.Minute
	// DefaultIdleTimeout is the longest silence in a stream. DocsGPT before 0.19 sends nothing while a tool works.
	DefaultIdleTimeout = 5 * time.Minute
	// DefaultIdleConnTimeout is how long an unused connection is kept. DocsGPT's servers close theirs after 5 s, seen at
	// 4.7; a connection that both sides close at once would cost a request.
	DefaultIdleConnTimeout = 4 * time.Second
)

// Config says where an upstream is and how long to wait for it. Zero times are the defaults.
type Config struct {
	Address               Address
	DialTimeout           time.Duration // to connect, and for the TLS handshake
	ResponseHeaderTimeout time.Duration // from sending the request to the answer's first byte
	IdleTimeout           time.Duration // between two pieces of an answer
	IdleConnTimeout       time.Duration // of unused connections
	TLS                   *tls.Config   // for https; nil: the system's roots
}

// Upstream sends requests to one place over its own connections. It is safe for concurrent use.
type Upstream struct {
	config    Config
	transport *http.Transport
	template  *http.Request // of each request
}

// New returns an upstream; nothing is connected yet.
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
		// An answer in another encoding could not be relayed event by event.
		DisableCompression: true,
	}}
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

// Close closes the unused connections; requests under way go on.
func (u *Upstream) Close() { u.transport.CloseIdleConnections() }

// IdleTimeout is the longest silence in an answer.
func (u *Upstream) IdleTimeout() time.Duration { return u.config.IdleTimeout }

// Request is what is sent. Header and Body are taken over; the body is released when it is not needed any more.
type Request struct {
	Method string
	Path   string // canonical, begins with a slash
	Query  string // encoded, without the question mark
	Header http.Header
	Body   Body // nil: none
}

// Send sends the request and returns the answer when its headers are there; the caller must close its body. When ctx
// ends, the connection is closed at once. If the headers take too long, stop is called with [ErrTimeout]; it is ctx's
// cancel function. An upstream that takes a request and never reads it counts as too slow, too.
//
// A connection that the upstream closed while it was unused is replaced by another one only if nothing of the
// request was written to it: a question must not be answered (and paid for) twice. That is what [http.Transport]
// does for a POST whose body can be had again; the error is one of [ErrUnavailable], [ErrTimeout] and ctx's own.
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
		// The transport says this only of a connection that was closed before it took the request. It does not try again
		// by itself, and has no name for the error.
		if err.Error() != "http: server closed idle connection" {
			return nil, classify(ctx, err)
		}
	}
}

// Errors of an upstream. What happened in detail is wrapped in them, for logs.
var (
	ErrUnavailable = errors.New("the upstream cannot be reached")
	ErrTimeout     = errors.New("the upstream took too long")
	ErrIdleTimeout = errors.New("the upstream fell silent")
	ErrTruncated   = errors.New("the upstream broke off its answer")
)

// Error is one of the errors above with what caused it.
type Error struct{ Kind, Cause error }

// Error implements error.
func (f *Error) Error() string { return f.Kind.Error() + ": " + f.Cause.Error() }

// Unwrap implements errors.Is for both.
func (f *Error) Unwrap() []error { return []error{f.Kind, f.Cause} }

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
