package http1

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"time"
)

// Config is the configuration of a client.
type Config struct {
	// Dial connects to the server. It must return when its context ends.
	Dial func(context.Context) (net.Conn, error)
	// HeaderTimeout is the time from the beginning of a request to the complete header of its response.
	HeaderTimeout time.Duration
	// IdleTimeout is how long an idle connection is kept.
	IdleTimeout time.Duration
	// MaxIdle is the number of idle connections that are kept.
	MaxIdle int
}

// Client sends requests to one server. It is safe for concurrent use.
type Client struct {
	config Config
	pool   pool
}

// ErrHeaderTimeout is returned if the header of a response is not complete after Config.HeaderTimeout.
var ErrHeaderTimeout = errors.New("timeout while waiting for the header of the response")

// New returns a client. It does not connect yet.
func New(c Config) *Client {
	return &Client{config: c, pool: pool{timeout: c.IdleTimeout, limit: c.MaxIdle}}
}

// Close closes the idle connections, and those in use when they become idle.
func (c *Client) Close() { c.pool.close() }

// Do sends a request, and returns its response when the header has arrived. The caller must read the body to its end, or close
// it, from one goroutine; a [ChunkReader] reads it without copying. When ctx ends, the connection is closed immediately, also
// while the body is read, and the error of Do is the cause of ctx.
//
// Do skips responses with a status of 1xx. It always releases the body of the request. If the server has closed an idle
// connection, and so none of the request's bytes were sent, Do uses another connection. It never sends any byte twice.
//
// The client supports [httptrace.ClientTrace.GotConn]. In a connection that is reused, the server has not closed it before that.
func (c *Client) Do(ctx context.Context, r *Request) (*http.Response, error) {
	var out outgoing
	defer out.release()
	out.body = r.Body
	if err := r.check(); err != nil {
		return nil, err
	}
	if err := out.prepare(r); err != nil {
		return nil, err
	}
	now := time.Now()
	until := now.Add(c.config.HeaderTimeout)
	trace := httptrace.ContextClientTrace(ctx)
	for ctx.Err() == nil {
		cn := c.pool.get(now)
		if cn == nil {
			var err error
			if cn, err = c.dial(ctx, until); err != nil {
				return nil, explain(ctx, err)
			}
		}
		if trace != nil && trace.GotConn != nil {
			trace.GotConn(httptrace.GotConnInfo{Conn: cn.nc, Reused: cn.reused, WasIdle: cn.reused})
		}
		if cn.reused && !cn.isUsable() {
			cn.close()
			continue
		}
		resp, err := c.roundTrip(ctx, cn, r.Method, &out, until)
		if err == nil {
			return resp, nil
		}
		if !cn.reused || !errors.Is(err, errUnsent) {
			return nil, explain(ctx, err)
		}
	}
	return nil, context.Cause(ctx)
}

// dial connects to the server.
func (c *Client) dial(ctx context.Context, until time.Time) (*conn, error) {
	limited, cancel := context.WithDeadlineCause(ctx, until, ErrHeaderTimeout)
	defer cancel()
	nc, err := c.config.Dial(limited)
	if err != nil {
		if errors.Is(context.Cause(limited), ErrHeaderTimeout) {
			err = ErrHeaderTimeout
		}
		return nil, err
	}
	cn, err := newConn(nc)
	if err != nil {
		_ = nc.Close()
	}
	return cn, err
}

// explain returns the reason of an error: the end of the context closes the connection.
func explain(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// unsentError means that nothing of a request was sent.
type unsentError struct{ error }

func (e *unsentError) Unwrap() []error { return []error{e.error, errUnsent} }

var errUnsent = errors.New("nothing was sent")

// roundTrip sends a request over a connection and reads the header of the response. If it fails, the connection is closed.
func (c *Client) roundTrip(ctx context.Context, cn *conn, method string, out *outgoing, until time.Time) (*http.Response, error) {
	stop := context.AfterFunc(ctx, cn.abort)
	resp, err := c.exchange(cn, method, out, until)
	if err != nil {
		stop()
		cn.close()
		return nil, err
	}
	resp.body.stop = stop
	if resp.body.ended {
		resp.Body = http.NoBody
		resp.body.finish()
	}
	return &resp.Response, nil
}

// exchange is roundTrip without the care for the connection.
func (c *Client) exchange(cn *conn, method string, out *outgoing, until time.Time) (*response, error) {
	sent, sendErr := cn.write(out.first[0], out.first[1], until)
	if sendErr != nil && sent == 0 {
		if isTimeout(sendErr) {
			return nil, ErrHeaderTimeout
		}
		return nil, &unsentError{sendErr}
	}
	var upload <-chan error
	if sendErr == nil {
		if out.isComplete() {
			out.release()
		} else if upload, sendErr = out.startUpload(cn); sendErr != nil {
			return nil, sendErr
		}
	}
	// After a failed write the server may have sent a response nevertheless.
	resp, err := readResponse(cn, method, until)
	if err == nil {
		resp.body.client, resp.body.upload = c, upload
		resp.body.reusable = resp.body.reusable && sendErr == nil
		return resp, nil
	}
	if upload != nil {
		_ = cn.nc.Close()
		if bad, ok := errors.AsType[*bodyError](<-upload); ok {
			return nil, bad
		}
	}
	switch {
	case isTimeout(err), isTimeout(sendErr):
		return nil, ErrHeaderTimeout
	case sendErr != nil:
		return nil, sendErr
	}
	return nil, err
}
