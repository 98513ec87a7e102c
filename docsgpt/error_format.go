package docsgpt

import (
	"bytes"
	"net/http"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// ErrorFormat is the format of error responses that an endpoint's clients can read.
type ErrorFormat uint8

// The error formats.
const (
	// FormatJSON is one object: error, message, code, request_id. The first two contain the same sentence, since some
	// clients read one and some the other.
	FormatJSON ErrorFormat = iota
	// FormatEvent is one server-sent event of type "error". Published widgets look at neither status nor content
	// type. This is the only format that they show as a sentence and recover from.
	FormatEvent
	// FormatOpenAI is {"error": {message, type, code, request_id}}.
	FormatOpenAI
	// FormatRPC is a JSON-RPC error: {"jsonrpc", "id", "error": {code, message, "data": {code, request_id}}}.
	FormatRPC
	// FormatOAuth is {"error", "error_description", code, request_id}, for clients that look for an OAuth server.
	FormatOAuth
)

// Error is an error response that the gate sends instead of DocsGPT's response. Message is a plain sentence for people,
// without details that would help an attacker. Code is stable and for programs.
type Error struct {
	Status  int
	Code    string
	Message string

	RetryAfter string // value of the header Retry-After; "": none
	Permanent  bool   // tells OpenAI clients not to retry
	ID         []byte // raw JSON of the rejected JSON-RPC request's ID; nil: not known

	requested string // protocol version that is not supported; "": another error
}

// ContentType returns the media type of an error response in this format.
func (s ErrorFormat) ContentType() string {
	if s == FormatEvent {
		return "text/event-stream; charset=utf-8"
	}
	return "application/json"
}

// AppendError appends the body of an error response in this format.
func (s ErrorFormat) AppendError(out []byte, r *Error, requestID string) []byte {
	switch s {
	case FormatEvent:
		out = append(out, `data: {"type":"error","error":`...)
		out = appendText(out, r.Message)
		out = appendRest(out, r, requestID)
		return append(out, "}\n\n"...)
	case FormatOpenAI:
		out = append(out, `{"error":{"message":`...)
		out = appendText(out, r.Message)
		out = append(out, `,"type":`...)
		out = appendText(out, openAIType(r.Status))
		out = append(out, `,"param":null`...)
		out = appendRest(out, r, requestID)
		return append(out, "}}\n"...)
	case FormatRPC:
		return append(appendRPCError(out, r, strconv.AppendInt(nil, rpcCode(r), 10), requestID), '\n')
	case FormatOAuth:
		out = append(out, `{"error":"invalid_request","error_description":`...)
		out = appendText(out, r.Message)
		out = appendRest(out, r, requestID)
		return append(out, "}\n"...)
	default:
		out = append(out, `{"error":`...)
		out = appendText(out, r.Message)
		out = append(out, `,"message":`...)
		out = appendText(out, r.Message)
		out = appendRest(out, r, requestID)
		return append(out, "}\n"...)
	}
}

func appendRest(out []byte, r *Error, requestID string) []byte {
	out = append(out, `,"code":`...)
	out = appendText(out, r.Code)
	out = append(out, `,"request_id":`...)
	return appendText(out, requestID)
}

// AppendStreamError appends an event that ends a stream which cannot continue, so that the client does not wait for more.
// It must follow a complete event.
func (s ErrorFormat) AppendStreamError(out []byte, r *Error, requestID string) []byte {
	if s == FormatRPC {
		if len(r.ID) == 0 {
			return out // no response is pending, and clients reconnect
		}
		return AppendMessageEvent(out, s.AppendError(nil, r, requestID))
	}
	if s == FormatOpenAI {
		out = append(out, "data: "...)
		out = s.AppendError(out, r, requestID)
		return append(out, '\n')
	}
	return FormatEvent.AppendError(out, r, requestID)
}

// AppendMessageEvent appends a JSON-RPC message as an event. Line breaks between its JSON tokens become spaces.
func AppendMessageEvent(out, message []byte) []byte {
	out = append(out, "event: message\ndata: "...)
	for _, b := range bytes.TrimSpace(message) {
		if b == '\n' || b == '\r' {
			b = ' '
		}
		out = append(out, b)
	}
	return append(out, "\n\n"...)
}

// TextEvent returns a stream event that adds a sentence to the answer's text, as a paragraph of its own.
func TextEvent(sentence string) []byte {
	out := append([]byte(nil), `data: {"type":"answer","answer":`...)
	out = appendText(out, "\n\n"+sentence)
	return append(out, "}\n\n"...)
}

// openAIType returns the error type that OpenAI's API uses for a status.
func openAIType(status int) string {
	switch {
	case status == http.StatusUnauthorized:
		return "authentication_error"
	case status == http.StatusForbidden:
		return "permission_error"
	case status == http.StatusTooManyRequests:
		return "rate_limit_error"
	case status >= 500:
		return "server_error"
	default:
		return "invalid_request_error"
	}
}

// textOf returns the text of a JSON string. ok is false for values of other kinds.
func textOf(raw jsontext.Value) (text string, ok bool) {
	if raw.Kind() != '"' {
		return "", false
	}
	unquoted, err := unquote(raw)
	return string(unquoted), err == nil
}
