package gateway

import (
	"net/http"
	"strconv"

	"github.com/docsgate/docsgate/caddymodule/lifecycle"
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
)

// apiError is an error response of the gate. The reason is for logs and metrics only; if it is empty, the code is used.
type apiError struct {
	docsgpt.Error
	reason string
}

func newError(status int, code, message string) *apiError {
	return &apiError{Error: docsgpt.Error{Status: status, Code: code, Message: message}}
}

var (
	errMethodNotAllowed = newError(http.StatusMethodNotAllowed, "method_not_allowed", "This method is not allowed here.")
	errNotJSON          = newError(http.StatusUnsupportedMediaType, "not_json",
		"Send the request as JSON, with Content-Type application/json and no Content-Encoding.")
	errBodyTooLarge         = newError(http.StatusRequestEntityTooLarge, "body_too_large", "The request is too large.")
	errUnreadableBody       = newError(http.StatusBadRequest, "bad_request", "The request could not be read.")
	errConversationNotFound = newError(http.StatusNotFound, "conversation_not_found", "There is no such conversation.")
	errAttachmentNotFound   = newError(http.StatusNotFound, "attachment_not_found", "There is no such attachment.")
	errMultipleTokens       = newError(http.StatusBadRequest, "bad_request", "The API key is in the request twice. Send it once.")

	// errShuttingDown is the error of requests that are rejected or ended because the process exits.
	errShuttingDown = newRetryableError(http.StatusServiceUnavailable, "shutting_down", "5", lifecycle.ShutdownMessage)

	errNotConfigured = &apiError{Error: docsgpt.Error{
		Status: http.StatusServiceUnavailable, Code: "not_configured", Message: "This service is not fully configured.",
	}, reason: "no_upstream_token"}
)

func newRetryableError(status int, code, after, message string) *apiError {
	apiErr := newError(status, code, message)
	apiErr.RetryAfter = after
	return apiErr
}

func badRequest(err error) *apiError {
	return newError(http.StatusBadRequest, "bad_request", "The request is not valid: "+err.Error()+".")
}

// errorForReason maps the reason of a decision to an error response. It is the same for every kind of invalid token, so
// that it reveals nothing about existing keys.
func errorForReason(reason keys.Reason) *apiError {
	switch reason {
	case keys.VisitorRequired:
		return errVisitorRequired
	case keys.VisitorTokenExpired:
		return errVisitorTokenExpired
	default:
	}
	if reason == keys.UnusableKey {
		return &apiError{Error: errNotConfigured.Error, reason: string(reason)}
	}
	if reason == keys.NotReady || reason == keys.FeedUnavailable {
		return &apiError{Error: docsgpt.Error{
			Status: http.StatusServiceUnavailable, Code: "not_ready", RetryAfter: "5",
			Message: "This service is not ready. Please try again in a moment.",
		}, reason: string(reason)}
	}
	if reason == keys.UnknownToken {
		return errUnknownToken
	}
	return invalidKey(string(reason))
}

// errUnknownToken is allocated once, since a flood of unknown tokens gets it.
var errUnknownToken = invalidKey(string(keys.UnknownToken))

// invalidKey returns the error response to a token that is not valid for a reason.
func invalidKey(reason string) *apiError {
	apiErr := newError(http.StatusUnauthorized, "invalid_api_key", "The API key is missing or not valid. Please check the key.")
	apiErr.reason = reason
	return apiErr
}

// writeErrorResponse writes an error response in the shape of the endpoint. All error responses, including mapped ones of
// DocsGPT, are written here.
func (c *client) writeErrorResponse(r *docsgpt.Error) {
	shape, id := c.endpoint.ErrorFormat, c.requestID()
	b := takeBuffer()
	body := shape.AppendError(b.bytes[:0], c.withRPCID(r), id)
	defer b.release(body)
	h := c.w.Header()
	v := &c.responseValues
	v.set(h, "Content-Type", shape.ContentType())
	v.set(h, "Content-Length", strconv.Itoa(len(body)))
	v.set(h, "Cache-Control", "no-store")
	v.set(h, "X-Content-Type-Options", "nosniff")
	if r.RetryAfter != "" {
		v.set(h, "Retry-After", r.RetryAfter)
	}
	if r.Permanent {
		v.set(h, "X-Should-Retry", "false")
	}
	if r.Status == http.StatusUnauthorized && shape != docsgpt.FormatEvent {
		v.set(h, "Www-Authenticate", "Bearer")
	}
	c.w.WriteHeader(r.Status)
	_, _ = c.w.Write(body) // the client may have disconnected
}

// writeStreamError writes an error as the last event of a stream that has begun, and is not written to by a timer any more.
func (c *client) writeStreamError(r *docsgpt.Error) {
	// An error means that the client has disconnected.
	_, _ = c.w.Write(c.endpoint.ErrorFormat.AppendStreamError(nil, c.withRPCID(r), c.requestID()))
}

// withRPCID adds the ID of the JSON-RPC request to an error response, if there is one.
func (c *client) withRPCID(r *docsgpt.Error) *docsgpt.Error {
	if c.rpcID == nil || r.ID != nil {
		return r
	}
	with := *r
	with.ID = c.rpcID
	return &with
}
