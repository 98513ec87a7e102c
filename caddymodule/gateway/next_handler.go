package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/upstream"
)

// serveNext passes the rewritten request to the next handler, such as reverse_proxy, and relays its response. It returns why the
// response has ended; nil: it is complete.
func (x *gatewayRequest) serveNext(up *upstreamRequest, next caddyhttp.Handler) error {
	w := &x.writer
	w.header = http.Header{}
	err := callNext(next, w, &w.wroteHeader, nextRequest(&x.client, up))
	x.body.release()
	if err == nil && !w.wroteHeader {
		err = errNoHandler
	}
	w.response.close(err)
	x.slot.abandoned = x.slot.abandoned || w.stopped
	return err
}

var errNoHandler = errors.New("no handler after docsgate responded: set an upstream in the docsgate directive, " +
	"or add a handler such as reverse_proxy after it")

// nextRequest returns the rewritten request for the next handler.
func nextRequest(c *client, up *upstreamRequest) *http.Request {
	r := c.r.WithContext(c.ctx)
	r.Method, r.Header = up.method, up.header
	r.URL = &url.URL{Scheme: c.r.URL.Scheme, Host: c.r.URL.Host, Path: up.path, RawQuery: up.rawQuery}
	logged := url.URL{Path: up.path, RawQuery: up.loggedQuery} // handlers log RequestURI, and send URL
	r.RequestURI = logged.RequestURI()
	r.Form, r.PostForm, r.MultipartForm = nil, nil, nil
	r.TransferEncoding, r.Trailer = nil, nil
	r.Body, r.ContentLength, r.GetBody = http.NoBody, 0, nil
	switch body := up.body.(type) {
	case nil:
	case *upstream.Buffer:
		setBody(r, body.Len(), body.Reader)
	default:
		setBody(r, body.Len(), body.Open)
	}
	return r
}

// nextRejectionError is returned if a handler after the gate rejects the request with an error, such as a rate limit.
type nextRejectionError struct {
	status     int
	retryAfter string
	cause      error
}

func (e *nextRejectionError) Error() string { return e.cause.Error() }

func (e *nextRejectionError) Unwrap() error { return e.cause }

// isRejection reports whether an error of a handler rejects the request: status 4xx, or 503 unless it is the error of
// reverse_proxy that no upstream is available.
func isRejection(err caddyhttp.HandlerError) bool {
	if err.StatusCode == http.StatusServiceUnavailable {
		return err.Err == nil || err.Err.Error() != "no upstreams available"
	}
	return err.StatusCode >= 400 && err.StatusCode <= 499
}

func isNextRejection(err error) bool {
	_, is := errors.AsType[*nextRejectionError](err)
	return is
}

// toError returns the error response for the client.
func (e *nextRejectionError) toError() *docsgpt.Error {
	r := &docsgpt.Error{Status: e.status, RetryAfter: e.retryAfter, Code: "rejected", Message: "This request is not allowed here."}
	switch e.status {
	case http.StatusTooManyRequests:
		r.Code, r.Message = "rate_limited", "Too many requests. Please try again later."
	case http.StatusRequestEntityTooLarge:
		r.Code, r.Message = errBodyTooLarge.Code, errBodyTooLarge.Message
	case http.StatusServiceUnavailable:
		r.Code, r.Message = errOverloaded.Code, errOverloaded.Message
	}
	return r
}

// setBody sets a body that can be read again. Each reader keeps the underlying buffer until it is closed.
func setBody(r *http.Request, size int64, open func() io.ReadCloser) {
	r.Body, r.ContentLength = open(), size
	r.GetBody = func() (io.ReadCloser, error) { return open(), nil }
}

// nextResponseWriter is the response writer of the next handler.
type nextResponseWriter struct {
	response    response
	header      http.Header
	wroteHeader bool

	stopped bool // writing to the client failed, so that the next handler ends the upstream request
}

// callNext calls the next handler and maps its errors. wroteHeader reports whether the handler has written a header. A panic
// with http.ErrAbortHandler, by which reverse_proxy aborts a truncated response, becomes upstream.ErrTruncated.
func callNext(next caddyhttp.Handler, w http.ResponseWriter, wroteHeader *bool, r *http.Request) (err error) {
	defer r.Body.Close()
	defer func() {
		if v := recover(); v != nil {
			if v != http.ErrAbortHandler { //nolint:errorlint,err113 // panics use this exact value
				panic(v)
			}
			err = &upstream.Error{Kind: upstream.ErrTruncated, Cause: http.ErrAbortHandler}
		}
	}()
	if err = next.ServeHTTP(w, r); err == nil {
		return nil
	}
	var status caddyhttp.HandlerError
	errors.As(err, &status)
	switch {
	case !*wroteHeader && isRejection(status):
		err = &nextRejectionError{status: status.StatusCode, retryAfter: w.Header().Get("Retry-After"), cause: err}
	case errors.Is(err, context.DeadlineExceeded),
		status.StatusCode == http.StatusGatewayTimeout:
		err = &upstream.Error{Kind: upstream.ErrTimeout, Cause: err}
	case *wroteHeader:
		err = &upstream.Error{Kind: upstream.ErrTruncated, Cause: err}
	default:
		err = &upstream.Error{Kind: upstream.ErrUnavailable, Cause: err}
	}
	return err
}

// Header implements http.ResponseWriter. It returns the header of the upstream response, not that of the client's.
func (w *nextResponseWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter. Informational responses are dropped.
func (w *nextResponseWriter) WriteHeader(status int) {
	if w.wroteHeader || status < 200 {
		return
	}
	w.wroteHeader = true
	w.response.writeHeader(status, w.header)
}

// Write implements http.ResponseWriter.
func (w *nextResponseWriter) Write(p []byte) (int, error) {
	if !w.wroteHeader {
		w.WriteHeader(http.StatusOK)
	}
	if err := w.response.WriteChunk(p); err != nil && !errors.Is(err, errStopReading) {
		w.stopped = true
		return 0, err
	}
	return len(p), nil
}

// FlushError does nothing: streams are flushed with each chunk, and other responses are buffered.
func (w *nextResponseWriter) FlushError() error { return nil }

// Flush implements http.Flusher.
func (w *nextResponseWriter) Flush() {}

// Unwrap is for http.ResponseController, for deadlines.
func (w *nextResponseWriter) Unwrap() http.ResponseWriter { return w.response.client.w }
