package caddymodule

import (
	"errors"
	"net/http"
	"os"
	"time"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/forward"
	"github.com/docsgate/docsgate/policy/quota"
)

// bodies counts the request bodies of the whole process, over all sites and configurations: they share its memory and
// its disk.
var bodies = quota.New(quota.Limits{})

var (
	tooBusy = &refusal{Refusal: docsgpt.Refusal{
		Status: http.StatusServiceUnavailable, Code: "busy", RetryAfter: "10",
		Message: "Too many files or long requests are being sent. Please try again in a moment.",
	}}
	evicted = &refusal{Refusal: tooBusy.Refusal, reason: "evicted"}

	keyBusy = &refusal{Refusal: docsgpt.Refusal{
		Status: http.StatusTooManyRequests, Code: "too_many_uploads", RetryAfter: "10",
		Message: "Too many files or long requests are being sent with this API key. Please try again in a moment.",
	}}
	tooSlow = &refusal{Refusal: docsgpt.Refusal{
		Status: http.StatusRequestTimeout, Code: "body_too_slow", RetryAfter: "10",
		Message: "The request came in too slowly. Please try again with a better connection.",
	}}
)

// receive begins to count the request's body. Its key is known only where it is found by the head.
func (x *exchange) receive() {
	x.received.Receive(bodies, x.r.Body, x)
	if x.key != nil {
		_ = x.received.Own(x.key.ID) // it uses nothing yet
	}
}

// InterruptRead implements quota.Connection. On HTTP/1 no further request can be read from the connection then, so its
// response closes it; see leaveBody.
func (x *exchange) InterruptRead() error {
	return http.NewResponseController(x.w).SetReadDeadline(time.Unix(1, 0))
}

// notReceived tells why a body was not read to its end.
func (x *exchange) notReceived(err error) *refusal {
	switch {
	case errors.Is(err, forward.ErrTooLarge), isBodyLimit(err):
		return tooLarge
	case errors.Is(err, quota.ErrBusy):
		return tooBusy
	case errors.Is(err, quota.ErrEvicted):
		return evicted
	case errors.Is(err, quota.ErrKeyShare):
		return keyBusy
	case errors.Is(err, quota.ErrTooSlow), errors.Is(err, os.ErrDeadlineExceeded): // the gate's limit, or Caddy's
		return tooSlow
	default:
		return unreadable
	}
}

// leaveTime is how long the rest of a body may take that is of no use, so that its client can read the response before
// the connection is closed.
const leaveTime = 5 * time.Second

var closeConnection = []string{"close"}

// leaveBody is called before a response to a request whose body was perhaps not read to its end. On HTTP/1 the server
// would first wait for the rest, or even for a body that the client sends only when it is told to go on, and the response
// would wait with it.
func (x *exchange) leaveBody() {
	if x.r.ProtoMajor != 1 || x.r.ContentLength == 0 || x.received.AtEnd() {
		return
	}
	x.w.Header()["Connection"] = closeConnection
	if !x.received.Stopped() {
		// Without deadlines the server's own settings decide.
		_ = http.NewResponseController(x.w).SetReadDeadline(time.Now().Add(leaveTime))
	}
}
