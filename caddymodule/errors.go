package caddymodule

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/http"
	"strconv"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
)

// apiError is a refusal with the reason that only the operator sees. An empty reason is the code.
type apiError struct {
	docsgpt.Error
	reason string
}

func newError(status int, code, message string) *apiError {
	return &apiError{Error: docsgpt.Error{Status: status, Code: code, Message: message}}
}

var (
	notFound            = newError(http.StatusNotFound, "not_found", "There is nothing here.")
	errMethodNotAllowed = newError(http.StatusMethodNotAllowed, "method_not_allowed", "This method is not allowed here.")
	notJSON             = newError(http.StatusUnsupportedMediaType, "not_json",
		"Send the request as JSON, with Content-Type application/json and no Content-Encoding.")
	errBodyTooLarge         = newError(http.StatusRequestEntityTooLarge, "body_too_large", "The request is too large.")
	unreadable              = newError(http.StatusBadRequest, "bad_request", "The request could not be read.")
	errConversationNotFound = newError(http.StatusNotFound, "conversation_not_found", "There is no such conversation.")
	errAttachmentNotFound   = newError(http.StatusNotFound, "attachment_not_found", "There is no such attachment.")
	errMultipleTokens       = newError(http.StatusBadRequest, "bad_request", "The API key stands in two places. Send it once.")

	errNotConfigured = &apiError{Error: docsgpt.Error{
		Status: http.StatusServiceUnavailable, Code: "not_configured", Message: "This service is not set up completely.",
	}, reason: "no_upstream_token"}
)

func badRequest(err error) *apiError {
	return newError(http.StatusBadRequest, "bad_request", "The request is not valid: "+err.Error()+".")
}

// errorForReason turns what became of a token into what its holder is told: about every kind of bad token the same, and
// nothing about keys that exist.
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

// writeError answers with a refusal of the gate's own and counts it.
func (x *gatewayRequest) writeError(no *apiError) {
	reason := no.reason
	if reason == "" {
		reason = no.Code
	}
	decisions.WithLabelValues(x.endpointName(), reason).Inc()
	if extra, ok := x.r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Add(zap.Dict("docsgate", zap.String("reason", reason), zap.String("request_id", x.requestID())))
	}
	if line := x.handler.logger.Check(zap.DebugLevel, "refused"); line != nil {
		line.Write(zap.String("endpoint", x.endpointName()), zap.String("reason", reason), zap.String("key", x.keyID()),
			zap.String("client_ip", x.clientIP()), zap.String("request_id", x.requestID()))
	}
	sending := x.closeAfterResponse()
	x.writeRefusal(&no.Error)
	if sending {
		x.linger()
	}
}

// writeRefusal writes a refusal, the gate's own or a translated one, in the shape of the endpoint. It is the one place
// that does.
func (x *gatewayRequest) writeRefusal(r *docsgpt.Error) {
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
	_, _ = x.w.Write(body) // a client that is gone has no use for it
}

var (
	noStore   = []string{"no-store"}
	nosniff   = []string{"nosniff"}
	challenge = []string{"Bearer"}
)

// requestID is a name for the request in refusals and logs: 16 random hexadecimal digits, made when first asked for.
func (x *gatewayRequest) requestID() string {
	if x.id == "" {
		var raw [8]byte
		binary.NativeEndian.PutUint64(raw[:], rand.Uint64()) //nolint:gosec // a name, not a secret
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
