package gateway

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"strconv"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

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
	errNotFound         = newError(http.StatusNotFound, "not_found", "There is nothing here.")
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

func badRequest(err error) *apiError {
	return newError(http.StatusBadRequest, "bad_request", "The request is not valid: "+err.Error()+".")
}

// errorForReason maps the reason of a decision to an error response. It is the same for every kind of invalid token, so
// that it reveals nothing about existing keys.
func errorForReason(reason keys.Reason) *apiError {
	if reason == keys.UnusableKey {
		return &apiError{Error: errNotConfigured.Error, reason: string(reason)}
	}
	if reason == keys.NotReady || reason == keys.FeedUnavailable {
		return &apiError{Error: docsgpt.Error{
			Status: http.StatusServiceUnavailable, Code: "not_ready", RetryAfter: "5",
			Message: "This service is not ready. Please try again in a moment.",
		}, reason: string(reason)}
	}
	return &apiError{Error: docsgpt.Error{
		Status: http.StatusUnauthorized, Code: "invalid_api_key",
		Message: "The API key is missing or not valid. Please check the key.",
	}, reason: string(reason)}
}

// writeError rejects the request: it counts and logs the error, and writes the error response.
func (x *gatewayRequest) writeError(apiErr *apiError) {
	reason := apiErr.reason
	if reason == "" {
		reason = apiErr.Code
	}
	decisions.WithLabelValues(x.endpointName(), reason).Inc()
	if extra, ok := x.r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Add(zap.Dict("docsgate", zap.String("reason", reason), zap.String("request_id", x.requestID())))
	}
	if line := x.handler.logger.Check(zap.DebugLevel, "request rejected"); line != nil {
		line.Write(zap.String("endpoint", x.endpointName()), zap.String("reason", reason), zap.String("key", x.keyID()),
			zap.String("client_ip", x.clientIP()), zap.String("request_id", x.requestID()))
	}
	sending := x.closeAfterResponse()
	x.writeErrorResponse(&apiErr.Error)
	if sending {
		x.linger()
	}
}

// writeErrorResponse writes an error response in the shape of the endpoint. All error responses, including mapped ones of
// DocsGPT, are written here.
func (x *gatewayRequest) writeErrorResponse(r *docsgpt.Error) {
	shape := docsgpt.ShapeJSON
	if x.endpoint != nil {
		shape = x.endpoint.Shape
	}
	id := x.requestID()
	body := shape.AppendError(make([]byte, 0, 512), x.withRequestID(r), id)
	h := x.w.Header()
	h["Content-Type"] = []string{shape.ContentType()}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	h["X-Request-Id"] = []string{id}
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = nosniff
	if r.RetryAfter != "" {
		h["Retry-After"] = []string{r.RetryAfter}
	}
	if r.Permanent {
		h["X-Should-Retry"] = []string{"false"}
	}
	if r.Status == http.StatusUnauthorized && shape != docsgpt.ShapeEvent {
		h["Www-Authenticate"] = challenge
	}
	x.w.WriteHeader(r.Status)
	_, _ = x.w.Write(body) // the client may have disconnected
}

var (
	noStore   = []string{"no-store"}
	nosniff   = []string{"nosniff"}
	challenge = []string{"Bearer"}
)

// requestID returns the ID of the request for error responses and logs: 16 random hexadecimal digits, generated on first use.
func (x *gatewayRequest) requestID() string {
	if x.id == "" {
		var raw [8]byte
		binary.NativeEndian.PutUint64(raw[:], rand.Uint64()) //nolint:gosec // not a secret
		x.id = hex.EncodeToString(raw[:])
	}
	return x.id
}

func (x *gatewayRequest) keyID() string {
	if x.key == nil {
		return ""
	}
	return x.key.ID
}

func (x *gatewayRequest) clientIP() string {
	ip, _ := caddyhttp.GetVar(x.r.Context(), caddyhttp.ClientIPVarKey).(string)
	return ip
}
