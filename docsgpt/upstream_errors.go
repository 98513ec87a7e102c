package docsgpt

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Error codes for failures of the upstream.
const (
	CodeUpstreamRefused     = "upstream_refused"     // DocsGPT rejected the gate's credential
	CodeUpstreamError       = "upstream_error"       // DocsGPT failed
	CodeUpstreamUnavailable = "upstream_unavailable" // DocsGPT cannot be reached
	CodeUpstreamTimeout     = "upstream_timeout"     // DocsGPT took too long
	CodeUpstreamTruncated   = "upstream_truncated"   // a stream ended before its regular end
	CodeUpstreamLimit       = "upstream_limit"       // a limit of DocsGPT is reached
	CodeToolsNotAllowed     = "tools_not_allowed"    // the model called a tool of the account that answers
)

// Messages that are used in several places.
const (
	msgUpstreamError = "The answer service has a problem. Please try again later."
	msgLimitReached  = "The usage limit is reached. Please try again later."

	msgNotAccepted = "The answer service did not accept the request."
)

// MessageOriginNotAllowed is the message for a page that must not use a key.
const MessageOriginNotAllowed = "This website is not allowed to use this key."

// MaxError is the largest number of bytes of an upstream error to read.
const MaxError = 64 << 10

// Unavailable returns the error for an upstream that cannot be reached.
func Unavailable() *Error {
	return &Error{
		Status: http.StatusBadGateway, Code: CodeUpstreamUnavailable,
		Message: "The answer service cannot be reached. Please try again later.",
	}
}

// TimedOut returns the error for an upstream that took too long.
func TimedOut() *Error {
	return &Error{
		Status: http.StatusGatewayTimeout, Code: CodeUpstreamTimeout,
		Message: "The answer service took too long. Please try again later.",
	}
}

// Truncated returns the error for a stream that ended before its regular end.
func Truncated() *Error {
	return &Error{
		Status: http.StatusBadGateway, Code: CodeUpstreamTruncated,
		Message: "The answer was interrupted. Please try again.",
	}
}

// ToolsNotAllowed returns the error for a response that reports a call of a tool that the operator has not allowed.
func ToolsNotAllowed() *Error {
	return &Error{
		Status: http.StatusBadGateway, Code: CodeToolsNotAllowed, Permanent: true,
		Message: "This question cannot be answered here: the answer needs a tool that is not allowed.",
	}
}

// MapError maps an upstream response with an error status to an error for the clients of the endpoint. body is the
// beginning of the upstream's body, at most [MaxError] bytes.
//
// DocsGPT's own texts are not passed on: they may contain texts of exceptions, account numbers and, in old versions, more.
// A 400 or 401 never means that the client's key is invalid, since the gate has checked the key and the request: DocsGPT
// returns them if it does not accept the gate's credential, and also while its database is unavailable.
func MapError(e *Endpoint, status int, header http.Header, body []byte) *Error {
	reported := readError(body)
	if e.ErrorFormat == FormatRPC {
		if r := mapMCPError(status, reported); r != nil {
			return r
		}
	}
	if e.Group == GroupAttachments || e.Group == GroupArtifacts || e.Group == GroupSpeech {
		if r := mapFileError(e, status, reported); r != nil {
			return r
		}
	}
	r := &Error{Status: http.StatusBadGateway, Code: CodeUpstreamError, Message: msgUpstreamError}
	switch {
	case status == http.StatusTooManyRequests:
		r.Status, r.Code, r.Message = status, CodeUpstreamLimit, msgLimitReached
		r.RetryAfter = header.Get("Retry-After")
		r.Permanent = header.Get("X-Should-Retry") == "false"
	case status == http.StatusServiceUnavailable:
		r.Status = status
		r.RetryAfter = header.Get("Retry-After")
	case status == http.StatusGatewayTimeout:
		return TimedOut()
	case status == http.StatusForbidden && strings.Contains(reported.text, "origin"):
		r.Status, r.Code = status, "origin_not_allowed"
		r.Message = MessageOriginNotAllowed
	case status == http.StatusBadRequest && e.ErrorFormat == FormatOpenAI && strings.HasPrefix(reported.kind, "invalid_request"):
		// On these endpoints DocsGPT distinguishes an invalid request from an invalid key, and clients depend on it.
		r.Status, r.Code, r.Message = status, "bad_request", msgNotAccepted
		if reported.code == "context_length_exceeded" {
			r.Code, r.Message = reported.code, "The messages are too long for the model."
		}
	case status == http.StatusBadRequest, status == http.StatusUnauthorized, status == http.StatusForbidden:
		r.Code = CodeUpstreamRefused
	case status == http.StatusNotFound && e.Name == "feedback":
		r.Status, r.Code, r.Message = status, "conversation_not_found", "There is no such conversation."
	case status == http.StatusConflict:
		r.Status, r.Code = status, "conflict"
		r.Message = "This conversation is already being answered. Please try again in a moment."
	case status == http.StatusRequestEntityTooLarge:
		r.Status, r.Code, r.Message = status, "body_too_large", "The request is too large."
	}
	return r
}

// upstreamError holds the parts of an upstream error that matter. Missing ones are empty.
type upstreamError struct{ text, kind, code string }

// readError parses DocsGPT's error formats, each also as the data of an event: {"message"}, {"error": text} and
// {"error": {"message", "type", "code"}}. Anything else yields the zero value.
func readError(body []byte) upstreamError {
	if data, ok := bytes.CutPrefix(body, []byte("data:")); ok {
		body, _, _ = bytes.Cut(data, []byte("\n"))
	}
	var s upstreamError
	d := jsontext.NewDecoder(bytes.NewReader(body))
	if d.PeekKind() == '{' {
		_ = s.read(d) // of an invalid error, keep what was read before the fault
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
