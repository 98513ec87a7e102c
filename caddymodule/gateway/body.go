package gateway

import (
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/docsgate/docsgate/bodyquota"
	"github.com/docsgate/docsgate/caddymodule/app"
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/upstream"
)

// requestBody is a parsed body: JSON, a form or neither.
type requestBody struct {
	json   docsgpt.Body     // refers to buffer
	buffer *upstream.Buffer // of the JSON; nil: none, or moved
	form   *docsgpt.Form    // nil: none
	spool  *upstream.Spool  // of the form; nil: none, or moved

	quota bodyquota.Body // memory and disk that the body uses
	w     http.ResponseWriter

	wantsUsage bool // DocsGPT is asked for the usage of a stream
}

var (
	errTooManyUploads = newRetryableError(http.StatusServiceUnavailable, "busy", "10",
		"Too many files or long requests are being sent. Please try again in a moment.")
	errEvicted = &apiError{Error: errTooManyUploads.Error, reason: "evicted"}

	errTooManyUploadsOfKey = newRetryableError(http.StatusTooManyRequests, "too_many_uploads", "10",
		"Too many files or long requests are being sent with this API key. Please try again in a moment.")
	errBodyTooSlow = newRetryableError(http.StatusRequestTimeout, "body_too_slow", "10",
		"The request came in too slowly. Please try again with a better connection.")
)

// receive starts to count the body, toward the quota of the key if it is known.
func (b *requestBody) receive(c *client, key *keys.Key) {
	b.w = c.w
	b.quota.Receive(app.Bodies, c.r.Body, b)
	if key != nil {
		_ = b.quota.Own(key.ID) // the body uses nothing yet
	}
}

// InterruptRead implements bodyquota.Connection. On HTTP/1 the connection cannot be reused afterwards, so it is closed after
// the response; see closeAfterResponse.
func (b *requestBody) InterruptRead() error {
	return http.NewResponseController(b.w).SetReadDeadline(time.Unix(1, 0))
}

// readJSON reads and parses a JSON body. key is nil if the token is in the body.
func (b *requestBody) readJSON(c *client, key *keys.Key) *apiError {
	if !docsgpt.IsJSON(c.r.Header) || !isIdentityEncoding(c.r.Header) {
		return errNotJSON
	}
	b.receive(c, key)
	buffer, err := upstream.ReadBody(&b.quota, c.r.ContentLength, c.handler.MaxBodySize, docsgpt.RewriteHeadroom, &b.quota)
	if stopped := b.quota.End(); err == nil && stopped != nil {
		buffer.Release()
		err = stopped
	}
	if err != nil {
		return bodyError(err)
	}
	b.buffer = buffer
	if err := b.json.Parse(c.endpoint.Endpoint, buffer.Bytes); err != nil {
		return badRequest(err)
	}
	return nil
}

// moved is called when the upstream owns the stored body.
func (b *requestBody) moved() { b.buffer, b.spool = nil, nil }

// release frees the memory and the disk space of the body. It may be called several times.
func (b *requestBody) release() {
	if b.buffer != nil {
		b.buffer.Release()
		b.buffer = nil
	}
	b.releaseSpool()
	_ = b.quota.End() // the error matters only while the body is read
}

func (b *requestBody) releaseSpool() {
	if b.spool != nil {
		b.spool.Release()
		b.spool = nil
	}
}

// bodyError maps an error of reading a body to an error response.
func bodyError(err error) *apiError {
	switch {
	case errors.Is(err, upstream.ErrTooLarge), isBodyLimit(err):
		return errBodyTooLarge
	case errors.Is(err, bodyquota.ErrBusy):
		return errTooManyUploads
	case errors.Is(err, bodyquota.ErrEvicted):
		return errEvicted
	case errors.Is(err, bodyquota.ErrKeyShare):
		return errTooManyUploadsOfKey
	case errors.Is(err, bodyquota.ErrTooSlow), errors.Is(err, os.ErrDeadlineExceeded): // the gate's limit, or Caddy's
		return errBodyTooSlow
	default:
		return errUnreadableBody
	}
}
