package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/docsgate/docsgate/upstream/http1"
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
//
// Requests over plain TCP and Unix sockets are sent by an [http1.Client], which costs less than [http.Transport]. The transport
// sends what that client cannot: requests over TLS, to hosts with characters that need an encoding, and on systems such as Windows.
type Upstream struct {
	config    Config
	client    *http1.Client // nil: requests are sent by transport
	transport transport
}

// maxIdleConns is the number of idle connections that are kept.
const maxIdleConns = 1024

// New returns an upstream. It does not connect yet.
func New(c Config) *Upstream {
	u := newWithTransport(c)
	if canUseClient(c.Address) {
		u.client = http1.New(http1.Config{
			Dial:          u.dial,
			HeaderTimeout: u.config.ResponseHeaderTimeout,
			IdleTimeout:   u.config.IdleConnTimeout,
			MaxIdle:       maxIdleConns,
		})
	}
	return u
}

// newWithTransport returns an upstream that sends all requests with http.Transport.
func newWithTransport(c Config) *Upstream {
	setDefault(&c.DialTimeout, DefaultDialTimeout)
	setDefault(&c.ResponseHeaderTimeout, DefaultResponseHeaderTimeout)
	setDefault(&c.IdleTimeout, DefaultIdleTimeout)
	setDefault(&c.IdleConnTimeout, DefaultIdleConnTimeout)
	return &Upstream{config: c, transport: newTransport(&c)}
}

// canUseClient reports whether an http1.Client can send requests to an address.
func canUseClient(a Address) bool {
	if !http1.Supported || a.URL == nil || a.URL.Scheme != "http" {
		return false
	}
	for i := range len(a.URL.Host) {
		if c := a.URL.Host[i]; c >= utf8.RuneSelf || c == '%' { // an international name, or the zone of an IPv6 address
			return false
		}
	}
	return true
}

// dial connects to the address without TLS.
func (u *Upstream) dial(ctx context.Context) (net.Conn, error) {
	dialer := net.Dialer{Timeout: u.config.DialTimeout}
	a := u.config.Address
	if a.Socket != "" {
		return dialer.DialContext(ctx, "unix", a.Socket)
	}
	port := a.URL.Port()
	if port == "" {
		port = "80"
	}
	return dialer.DialContext(ctx, "tcp", net.JoinHostPort(a.URL.Hostname(), port))
}

func setDefault(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

// Close closes the idle connections. Requests in flight continue.
func (u *Upstream) Close() {
	if u.client != nil {
		u.client.Close()
	}
	u.transport.CloseIdleConnections()
}

// IdleTimeout returns the longest allowed silence in a response.
func (u *Upstream) IdleTimeout() time.Duration { return u.config.IdleTimeout }

// headers are empty headers for requests.
var headers = sync.Pool{New: func() any { return make(http.Header, 12) }}

// NewHeader returns an empty header for a Request. Send reuses its memory for other requests.
func NewHeader() http.Header { return headers.Get().(http.Header) }

// Request is a request to send. Send takes ownership of Header and Body, and releases the body when it is no longer needed. The header
// must not be used after Send has returned.
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
// question must not be answered, and paid for, twice. The error is [ErrUnavailable], [ErrTimeout] or the cause of ctx.
func (u *Upstream) Send(ctx context.Context, stop context.CancelCauseFunc, r Request) (*http.Response, error) {
	if u.client == nil {
		return u.transport.send(ctx, stop, &u.config, r)
	}
	a := u.config.Address.URL
	path := url.URL{Path: a.Path + r.Path}
	req := http1.Request{Method: r.Method, Target: path.EscapedPath(), Host: a.Host, Header: r.Header}
	if r.Query != "" {
		req.Target += "?" + r.Query
	}
	if r.Body != nil {
		req.Body = r.Body
	}
	resp, err := u.client.Do(ctx, &req)
	if r.Header != nil {
		clear(r.Header)
		headers.Put(r.Header)
	}
	switch {
	case err == nil:
		return resp, nil
	case errors.Is(err, http1.ErrHeaderTimeout) && ctx.Err() == nil:
		stop(ErrTimeout)
		return nil, ErrTimeout
	}
	return nil, classify(ctx, err)
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
