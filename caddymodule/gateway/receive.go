package gateway

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/docsgate/docsgate/caddymodule/app"
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/policy/quota"
	"github.com/docsgate/docsgate/upstream"
)

var (
	errTooManyUploads = &apiError{Error: docsgpt.Error{
		Status: http.StatusServiceUnavailable, Code: "busy", RetryAfter: "10",
		Message: "Too many files or long requests are being sent. Please try again in a moment.",
	}}
	errEvicted = &apiError{Error: errTooManyUploads.Error, reason: "evicted"}

	errTooManyUploadsOfKey = &apiError{Error: docsgpt.Error{
		Status: http.StatusTooManyRequests, Code: "too_many_uploads", RetryAfter: "10",
		Message: "Too many files or long requests are being sent with this API key. Please try again in a moment.",
	}}
	errBodyTooSlow = &apiError{Error: docsgpt.Error{
		Status: http.StatusRequestTimeout, Code: "body_too_slow", RetryAfter: "10",
		Message: "The request came in too slowly. Please try again with a better connection.",
	}}
)

// receive starts to count the body. If the request is already authenticated, the body counts toward the key's quota.
func (x *gatewayRequest) receive() {
	x.bodyQuota.Receive(app.Bodies, x.r.Body, x)
	if x.key != nil {
		_ = x.bodyQuota.Own(x.key.ID) // the body uses nothing yet
	}
}

// InterruptRead implements quota.Connection. On HTTP/1 the connection cannot be reused afterwards, so it is closed after
// the response; see closeAfterResponse.
func (x *gatewayRequest) InterruptRead() error {
	return http.NewResponseController(x.w).SetReadDeadline(time.Unix(1, 0))
}

// bodyError maps an error of reading the body to an error response.
func (x *gatewayRequest) bodyError(err error) *apiError {
	switch {
	case errors.Is(err, upstream.ErrTooLarge), isBodyLimit(err):
		return errBodyTooLarge
	case errors.Is(err, quota.ErrBusy):
		return errTooManyUploads
	case errors.Is(err, quota.ErrEvicted):
		return errEvicted
	case errors.Is(err, quota.ErrKeyShare):
		return errTooManyUploadsOfKey
	case errors.Is(err, quota.ErrTooSlow), errors.Is(err, os.ErrDeadlineExceeded): // the gate's limit, or Caddy's
		return errBodyTooSlow
	default:
		return errUnreadableBody
	}
}

// How long the connection of a rejected request stays open for the rest of its body. The rest is read and discarded: closing a
// connection with unread data resets it, and the client would lose the response.
const (
	lingerTime        = 5 * time.Second
	lingerTimeStopped = time.Second // if the body was evicted or too slow
)

var closeConnection = []string{"close"}

// closeAfterResponse is called before an error response is written, and reports whether the client may still be sending its
// body. On HTTP/1 the server would otherwise first wait for the rest of the body, or even for a body that the client sends only
// after "100 Continue", and the response would wait with it.
func (x *gatewayRequest) closeAfterResponse() (sending bool) {
	if x.r.ProtoMajor != 1 || x.r.ContentLength == 0 || x.bodyQuota.AtEnd() {
		return false
	}
	x.w.Header()["Connection"] = closeConnection
	return true
}

// linger discards the rest of the body after the response, for a bounded time. The server waits only a moment before it closes
// the connection, and not at all where Caddy has wrapped the body.
func (x *gatewayRequest) linger() {
	x.release() // other requests may need the quota
	wait := lingerTime
	if x.bodyQuota.Stopped() {
		wait = lingerTimeStopped
	}
	rc := http.NewResponseController(x.w)
	if rc.Flush() != nil || rc.SetReadDeadline(time.Now().Add(wait)) != nil {
		return
	}
	if strings.EqualFold(x.r.Header.Get("Expect"), "100-continue") && !x.bodyQuota.Begun() {
		return // the client has not sent any of it
	}
	_, _ = io.Copy(io.Discard, x.r.Body) // whatever ends it, the connection is closed next
}
