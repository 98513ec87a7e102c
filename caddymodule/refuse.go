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

// refusal is a refusal with the reason that only the operator sees. An empty reason is the code.
type refusal struct {
	docsgpt.Refusal
	reason string
}

func refuseWith(status int, code, message string) *refusal {
	return &refusal{Refusal: docsgpt.Refusal{Status: status, Code: code, Message: message}}
}

var (
	notFound    = refuseWith(http.StatusNotFound, "not_found", "There is nothing here.")
	wrongMethod = refuseWith(http.StatusMethodNotAllowed, "method_not_allowed", "This method is not allowed here.")
	notJSON     = refuseWith(http.StatusUnsupportedMediaType, "not_json",
		"Send the request as JSON, with Content-Type application/json and no Content-Encoding.")
	tooLarge            = refuseWith(http.StatusRequestEntityTooLarge, "body_too_large", "The request is too large.")
	unreadable          = refuseWith(http.StatusBadRequest, "bad_request", "The request could not be read.")
	foreignConversation = refuseWith(http.StatusNotFound, "conversation_not_found", "There is no such conversation.")
	foreignAttachment   = refuseWith(http.StatusNotFound, "attachment_not_found", "There is no such attachment.")
	twoTokens           = refuseWith(http.StatusBadRequest, "bad_request", "The API key stands in two places. Send it once.")

	noCredential = &refusal{Refusal: docsgpt.Refusal{
		Status: http.StatusServiceUnavailable, Code: "not_configured", Message: "This service is not set up completely.",
	}, reason: "no_upstream_token"}
)

func badRequest(err error) *refusal {
	return refuseWith(http.StatusBadRequest, "bad_request", "The request is not valid: "+err.Error()+".")
}

// refusalOf turns what became of a token into what its holder is told: about every kind of bad token the same, and
// nothing about keys that exist.
func refusalOf(reason keys.Reason) *refusal {
	if reason == keys.UnusableKey {
		return &refusal{Refusal: noCredential.Refusal, reason: string(reason)}
	}
	if reason == keys.NotReady || reason == keys.FeedAway {
		return &refusal{Refusal: docsgpt.Refusal{
			Status: http.StatusServiceUnavailable, Code: "not_ready", RetryAfter: "5",
			Message: "This service is not ready. Please try again in a moment.",
		}, reason: string(reason)}
	}
	return &refusal{Refusal: docsgpt.Refusal{
		Status: http.StatusUnauthorized, Code: "invalid_api_key",
		Message: "The API key is missing or not valid. Please check the key.",
	}, reason: string(reason)}
}

// refuse answers with a refusal of the gate's own and counts it.
func (x *exchange) refuse(no *refusal) {
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
	x.writeRefusal(&no.Refusal)
	if sending {
		x.linger()
	}
}

// writeRefusal writes a refusal, the gate's own or a translated one, in the shape of the endpoint. It is the one place
// that does.
func (x *exchange) writeRefusal(r *docsgpt.Refusal) {
	shape := docsgpt.ShapeJSON
	if x.endpoint != nil {
		shape = x.endpoint.Shape
	}
	id := x.requestID()
	body := shape.Append(make([]byte, 0, 512), x.answered(r), id)
	h := x.w.Header()
	h["Content-Type"] = []string{shape.ContentType()}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
	h["X-Request-Id"] = []string{id}
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	if r.RetryAfter != "" {
		h["Retry-After"] = []string{r.RetryAfter}
	}
	if r.NoRetry {
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
	noSniff   = []string{"nosniff"}
	challenge = []string{"Bearer"}
)

// requestID is a name for the request in refusals and logs: 16 random hexadecimal digits, made when first asked for.
func (x *exchange) requestID() string {
	if x.id == "" {
		var raw [8]byte
		binary.NativeEndian.PutUint64(raw[:], rand.Uint64()) //nolint:gosec // a name, not a secret
		x.id = hex.EncodeToString(raw[:])
	}
	return x.id
}

func (x *exchange) keyID() string {
	if x.key == nil {
		return ""
	}
	return x.key.ID
}

func (x *exchange) clientIP() string {
	ip, _ := caddyhttp.GetVar(x.r.Context(), caddyhttp.ClientIPVarKey).(string)
	return ip
}
