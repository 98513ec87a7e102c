package caddymodule

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/docsgate/docsgate/upstream"
)

// callNext gives the rewritten request to the next handler, say reverse_proxy, and relays what it answers.
func (x *gatewayRequest) serveNext() {
	w := &x.handed
	w.answer.x, w.header = x, http.Header{}
	defer w.answer.drop()
	err := callNext(x.next, w, &w.begun, x.nextRequest())
	x.release()
	if err == nil && !w.begun {
		err = errNoHandler
	}
	w.answer.close(err)
	x.abandoned = x.abandoned || w.stopped
}

var errNoHandler = errors.New("no handler after docsgate answered: name an upstream in the directive, " +
	"or let a handler such as reverse_proxy follow it")

// nextRequest is the request for the next handler: the client's, with nothing of it left that the gate did not put there.
func (x *gatewayRequest) nextRequest() *http.Request {
	r := x.r.WithContext(x.ctx)
	r.Method, r.Header = x.endpoint.Method, x.header
	r.URL = &url.URL{Scheme: x.r.URL.Scheme, Host: x.r.URL.Host, Path: x.resource.Path, RawQuery: x.rawQuery}
	shown := url.URL{Path: r.URL.Path, RawQuery: r.URL.RawQuery}
	if x.endpoint.AgentQuery {
		shown.RawQuery = x.query.Rewrite(x.endpoint, "") // handlers log this, and send the URL, in which the agent's key is
	}
	r.RequestURI = shown.RequestURI()
	r.Form, r.PostForm, r.MultipartForm = nil, nil, nil
	r.TransferEncoding, r.Trailer = nil, nil
	r.Body, r.ContentLength, r.GetBody = http.NoBody, 0, nil
	switch {
	case x.buffer != nil:
		setBody(r, x.buffer.Len(), x.buffer.Reader)
	case x.upload != nil:
		setBody(r, x.upload.spool.Len(), x.upload.spool.Open)
	}
	return r
}

// setBody gives a request a body that can be read again. Each reader holds what it reads from until it is closed.
func setBody(r *http.Request, size int64, open func() io.ReadCloser) {
	r.Body, r.ContentLength = open(), size
	r.GetBody = func() (io.ReadCloser, error) { return open(), nil }
}

// nextResponseWriter is the response writer of the next handler.
type nextResponseWriter struct {
	answer response
	header http.Header
	begun  bool

	stopped bool // the client takes nothing more, which makes the next handler end its request
}

// callNext calls the next handler; begun tells whether it has begun to answer. reverse_proxy breaks off an answer that
// it cannot finish by a panic; here that is one more way for an answer to end.
func callNext(next caddyhttp.Handler, w http.ResponseWriter, begun *bool, r *http.Request) (err error) {
	defer r.Body.Close()
	defer func() {
		if broken := recover(); broken != nil {
			if broken != http.ErrAbortHandler { //nolint:errorlint,err113 // a panic's value is this very one
				panic(broken)
			}
			err = &upstream.Error{Kind: upstream.ErrTruncated, Cause: http.ErrAbortHandler}
		}
	}()
	if err = next.ServeHTTP(w, r); err == nil {
		return nil
	}
	var status caddyhttp.HandlerError
	switch {
	case errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &status) && status.StatusCode == http.StatusGatewayTimeout:
		err = &upstream.Error{Kind: upstream.ErrTimeout, Cause: err}
	case *begun:
		err = &upstream.Error{Kind: upstream.ErrTruncated, Cause: err}
	default:
		err = &upstream.Error{Kind: upstream.ErrUnavailable, Cause: err}
	}
	return err
}

// Header implements http.ResponseWriter. These are the upstream's headers; the client's are made from them.
func (w *nextResponseWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter. Informational answers are left out.
func (w *nextResponseWriter) WriteHeader(status int) {
	if w.begun || status < 200 {
		return
	}
	w.begun = true
	// A client that is gone is noticed again by the next write.
	_ = w.answer.writeHeader(status, w.header)
}

// Write implements http.ResponseWriter.
func (w *nextResponseWriter) Write(p []byte) (int, error) {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
	if err := w.answer.onChunk(p); err != nil && !errors.Is(err, errStopReading) {
		w.stopped = true
		return 0, err
	}
	return len(p), nil
}

// FlushError lets handlers flush. Streams are flushed with each piece anyway, and other answers wait for their end.
func (w *nextResponseWriter) FlushError() error { return nil }

// Flush implements http.Flusher.
func (w *nextResponseWriter) Flush() {}

// Unwrap lets http.ResponseController find what is not defined here, such as deadlines.
func (w *nextResponseWriter) Unwrap() http.ResponseWriter { return w.answer.x.w }
