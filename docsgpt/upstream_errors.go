package docsgpt

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Codes of refusals that speak of the upstream.
const (
	CodeUpstreamRefused     = "upstream_refused"     // DocsGPT did not take the gate's own credential, or says so
	CodeUpstreamError       = "upstream_error"       // DocsGPT failed
	CodeUpstreamUnavailable = "upstream_unavailable" // DocsGPT cannot be reached
	CodeUpstreamTimeout     = "upstream_timeout"     // DocsGPT took too long
	CodeUpstreamTruncated   = "upstream_truncated"   // a stream ended before its end
	CodeUpstreamLimit       = "upstream_limit"       // a limit in DocsGPT is reached
	CodeToolsNotAllowed     = "tools_not_allowed"    // the model called a tool of the account that answers
)

// Sentences that more than one place uses.
const (
	msgUpstreamError = "The answer service has a problem. Please try again later."
	sentenceLimit    = "The usage limit is reached. Please try again later."
	sentenceOrigin   = "This website is not allowed to use this key."

	sentenceNotAccepted = "The answer service did not accept the request."
)

// MaxError is how many bytes of an upstream error are worth reading.
const MaxError = 64 << 10

// Unavailable is the refusal for an upstream that cannot be reached.
func Unavailable() *Error {
	return &Error{
		Status: http.StatusBadGateway, Code: CodeUpstreamUnavailable,
		Message: "The answer service cannot be reached. Please try again later.",
	}
}

// TimedOut is the refusal for an upstream that took too long.
func TimedOut() *Error {
	return &Error{
		Status: http.StatusGatewayTimeout, Code: CodeUpstreamTimeout,
		Message: "The answer service took too long. Please try again later.",
	}
}

// Truncated is the refusal for a stream that ended before its end.
func Truncated() *Error {
	return &Error{
		Status: http.StatusBadGateway, Code: CodeUpstreamTruncated,
		Message: "The answer was interrupted. Please try again.",
	}
}

// ToolsNotAllowed is the refusal for an answer that reports a call of a tool which the operator has not allowed.
func ToolsNotAllowed() *Error {
	return &Error{
		Status: http.StatusBadGateway, Code: CodeToolsNotAllowed, Permanent: true,
		Message: "This question cannot be answered here: the answer needs a tool that is not allowed.",
	}
}

// MapError turns an answer of the upstream that is no success on this endpoint into a refusal that its clients can
// read. body is the beginning of the upstream's body, at most [MaxError] bytes.
//
// DocsGPT's own words are not passed on: they may hold exception texts, account numbers and, in old versions, more.
// A 400 or 401 never means that the client's key is bad. The gate has checked the key and the request; DocsGPT
// answers so when it does not know the gate's credential, and also while its database is away.
func MapError(e *Endpoint, status int, header http.Header, body []byte) *Error {
	said := readError(body)
	if e.Shape == ShapeRPC {
		if r := translateMCP(status, said); r != nil {
			return r
		}
	}
	if e.Group == GroupAttachments || e.Group == GroupArtifacts || e.Group == GroupSpeech {
		if r := translateFile(e, status, said); r != nil {
			return r
		}
	}
	r := &Error{Status: http.StatusBadGateway, Code: CodeUpstreamError, Message: msgUpstreamError}
	switch {
	case status == http.StatusTooManyRequests:
		r.Status, r.Code, r.Message = status, CodeUpstreamLimit, sentenceLimit
		r.RetryAfter = header.Get("Retry-After")
		r.Permanent = header.Get("X-Should-Retry") == "false"
	case status == http.StatusServiceUnavailable:
		r.Status = status
		r.RetryAfter = header.Get("Retry-After")
	case status == http.StatusGatewayTimeout:
		return TimedOut()
	case status == http.StatusForbidden && strings.Contains(said.text, "origin"):
		r.Status, r.Code = status, "origin_not_allowed"
		r.Message = sentenceOrigin
	case status == http.StatusBadRequest && e.Shape == ShapeOpenAI && strings.HasPrefix(said.kind, "invalid_request"):
		// In this shape DocsGPT tells a bad request from a bad key, and clients act on the difference.
		r.Status, r.Code, r.Message = status, "bad_request", sentenceNotAccepted
		if said.code == "context_length_exceeded" {
			r.Code, r.Message = said.code, "The messages are too long for the model."
		}
	case status == http.StatusBadRequest, status == http.StatusUnauthorized, status == http.StatusForbidden:
		r.Code = CodeUpstreamRefused
	case status == http.StatusNotFound && e.Name == "feedback":
		r.Status, r.Code, r.Message = status, "conversation_not_found", "There is no such conversation."
	case status == http.StatusConflict:
		r.Status, r.Code = status, "conflict"
		r.Message = "This conversation is being answered already. Please try again in a moment."
	case status == http.StatusRequestEntityTooLarge:
		r.Status, r.Code, r.Message = status, "body_too_large", "The request is too large."
	}
	return r
}

// upstreamError is what an upstream error says, as far as it matters.
type upstreamError struct{ text, kind, code string }

// readError reads DocsGPT's error forms: {"message"}, {"error": text}, {"error": {"message", "type", "code"}}, each
// also as the data of an event. Anything else says nothing.
func readError(body []byte) upstreamError {
	if data, ok := bytes.CutPrefix(body, []byte("data:")); ok {
		body, _, _ = bytes.Cut(data, []byte("\n"))
	}
	var s upstreamError
	d := jsontext.NewDecoder(bytes.NewReader(body))
	if d.PeekKind() == '{' {
		_ = s.read(d) // a broken error says what was read of it
	}
	return s
}

func (s *upstreamError) read(d *jsontext.Decoder) error {
	return forEachField(d, func(name string) error {
		if name == "error" && d.PeekKind() == '{' {
			return s.read(d)
		}
		value, err := d.ReadValue()
		if err != nil {
			return err
		}
		text, ok := textOf(value)
		switch {
		case !ok:
		case name == "message", name == "error":
			s.text = text
		case name == "type":
			s.kind = text
		case name == "code":
			s.code = text
		}
		return nil
	})
}
