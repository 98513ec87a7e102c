package docsgpt

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// The headers of the MCP transport.
const (
	HeaderSession  = "Mcp-Session-Id"
	headerProtocol = "Mcp-Protocol-Version"
)

// mcpFields are the fields of a JSON-RPC request or notification. Responses, which a client would send to a request of
// the server, have no method and are rejected: DocsGPT sends no requests to its clients.
var mcpFields = []Field{
	{Name: "jsonrpc", Kinds: KindString, Required: true},
	{Name: "id", Kinds: KindString | KindNumber},
	{Name: "method", Kinds: KindString, Required: true},
	{Name: "params", Kinds: KindObject},
}

// mcpEndpoints returns the three operations of a client of the streamable HTTP transport: send a message, listen, and end
// the session. All versions with MCP serve the path "/mcp/". The path "/mcp", which most clients are configured with, is
// a 404 before 1.1, and an alias here.
func (v *Version) mcpEndpoints() []Endpoint {
	if !v.MCP {
		return nil
	}
	say := Endpoint{
		Name: "mcp", Path: "/mcp/", Method: http.MethodPost, Group: GroupMCP, Token: TokenBearer, ErrorFormat: FormatRPC,
		Body: BodyJSON, Fields: mcpFields, Agents: true, UnsupportedMessage: needsAgent,
		RequestHeaders:  []string{HeaderSession, headerProtocol, headerMethod, headerName},
		ResponseHeaders: []string{HeaderSession},
	}
	listen, end := say, say
	listen.Name, listen.Method, listen.Body, listen.Fields = "mcp_stream", http.MethodGet, BodyNone, nil
	listen.Class = ClassListen
	listen.RequestHeaders = []string{HeaderSession, headerProtocol, "Last-Event-Id"}
	end.Name, end.Method, end.Body, end.Fields = "mcp_end", http.MethodDelete, BodyNone, nil
	end.RequestHeaders = []string{HeaderSession, headerProtocol}
	return []Endpoint{say, listen, end}
}

// Messages about sessions. A status of 404 makes the client begin a new session.
const (
	msgSessionNotFound = "There is no such session. Please connect again."
	msgSessionRequired = "This request needs a session ID. Please connect again."
)

// NoSession returns the error for a session that is unknown, has ended, or does not belong to the key.
func NoSession() *Error {
	return &Error{Status: http.StatusNotFound, Code: "session_not_found", Message: msgSessionNotFound}
}

// NeedsSession returns the error for a request that neither names a session nor opens one.
func NeedsSession() *Error {
	return &Error{Status: http.StatusBadRequest, Code: "session_missing", Message: msgSessionRequired}
}

// mapMCPError maps an HTTP error of DocsGPT's MCP server, or returns nil where the status has its usual meaning. The
// server does not check the credential before a tool is called, so a 400 does not refer to the credential.
func mapMCPError(status int, reported upstreamError) *Error {
	switch {
	case status == http.StatusNotFound && strings.Contains(reported.text, "ession"):
		return NoSession()
	case status == http.StatusBadRequest:
		return &Error{Status: status, Code: "bad_request", Message: msgNotAccepted}
	case status == http.StatusMethodNotAllowed:
		return &Error{Status: status, Code: "method_not_allowed", Message: "This method is not allowed here."}
	case status == http.StatusConflict:
		return &Error{Status: status, Code: "conflict", Message: "This session already has an open stream."}
	case status == http.StatusNotAcceptable:
		return &Error{
			Status: status, Code: "not_acceptable",
			Message: "The header Accept must name application/json and text/event-stream.",
		}
	}
	return nil
}

// TranslateMessage maps one message of DocsGPT to an MCP client, a JSON text. If the message reports a failure, it returns
// the error and the message to send to the client instead, since DocsGPT's own text may contain the text of an exception.
// Otherwise the error is nil and the message is returned unchanged.
//
// DocsGPT checks the agent's key only when the tool is called, and reports an invalid one with HTTP 200.
func TranslateMessage(message []byte) (*Error, []byte) {
	// Quotes inside a JSON string are escaped, so these patterns match only names or whole values.
	if !bytes.Contains(message, []byte(`"error"`)) && !bytes.Contains(message, []byte(`"isError"`)) {
		return nil, message
	}
	var m struct {
		id     jsontext.Value
		number jsontext.Value // code of a JSON-RPC error
		failed bool
		text   string // content of a failed tool call
	}
	d := jsontext.NewDecoder(bytes.NewReader(message))
	if d.PeekKind() != '{' {
		return nil, message
	}
	if err := forEachField(d, func(name string) error {
		switch {
		case name == "error" && d.PeekKind() == '{':
			return forEachField(d, func(name string) error {
				value, err := d.ReadValue()
				if name == "code" && value.Kind() == '0' {
					m.number = value.Clone()
				}
				return err
			})
		case name == "result" && d.PeekKind() == '{':
			return forEachField(d, func(name string) error {
				value, err := d.ReadValue()
				switch name {
				case "isError":
					m.failed = value.Kind() == 't'
				case "content":
					if len(value) <= MaxError {
						m.text = string(value)
					}
				}
				return err
			})
		}
		value, err := d.ReadValue()
		if name == "id" && (value.Kind() == '"' || value.Kind() == '0') {
			m.id = value.Clone()
		}
		return err
	}); err != nil {
		return nil, message
	}
	switch {
	case m.failed:
		r := mapToolError(m.text)
		return r, appendToolError(nil, m.id, r.Message)
	case m.number != nil:
		r := &Error{Code: CodeUpstreamError, Message: msgUpstreamError, ID: m.id}
		switch string(m.number) {
		case "-32600", "-32601", "-32602":
			r.Code, r.Message = "bad_request", msgNotAccepted
		}
		return r, appendRPCError(nil, r, m.number, "")
	}
	return nil, message
}

// mapToolError maps the text of a tool's error.
func mapToolError(text string) *Error {
	r := &Error{Code: CodeUpstreamError, Message: msgUpstreamError}
	switch {
	case strings.Contains(text, "Invalid API key"), strings.Contains(text, "Missing Bearer token"):
		r.Code = CodeUpstreamRefused
	case strings.Contains(text, "origin is not allowed"):
		r.Code, r.Message = "origin_not_allowed", MessageOriginNotAllowed
	case strings.Contains(text, "limit") || strings.Contains(text, "quota"):
		r.Code, r.Message = CodeUpstreamLimit, msgLimitReached
	}
	return r
}

// appendToolError appends a tool's result that is an error with a message. Clients show such a result to their model or
// their user, but treat a JSON-RPC error as a failure of the connection.
func appendToolError(out []byte, id jsontext.Value, sentence string) []byte {
	out = appendID(out, id)
	out = append(out, `,"result":{"content":[{"type":"text","text":`...)
	out = appendText(out, sentence)
	return append(out, `}],"isError":true}}`...)
}

// appendRPCError appends a JSON-RPC error with the error code number.
func appendRPCError(out []byte, r *Error, number []byte, requestID string) []byte {
	out = appendID(out, r.ID)
	out = append(out, `,"error":{"code":`...)
	out = append(out, number...)
	out = append(out, `,"message":`...)
	out = appendText(out, r.Message)
	out = append(out, `,"data":{"code":`...)
	out = appendText(out, r.Code)
	if requestID != "" {
		out = append(out, `,"request_id":`...)
		out = appendText(out, requestID)
	}
	if r.requested != "" {
		out = appendProtocols(out, r.requested)
	}
	return append(out, "}}}"...)
}

// appendID appends the beginning of a JSON-RPC response with the raw ID of its request.
func appendID(out, id []byte) []byte {
	if len(id) == 0 {
		id = []byte("null")
	}
	out = append(out, `{"jsonrpc":"2.0","id":`...)
	return append(out, id...)
}

// rpcCode returns the error code that JSON-RPC, or widely used MCP servers, define for an error.
func rpcCode(r *Error) int64 {
	switch {
	case r.Code == codeHeaderMismatch:
		return -32020
	case r.Code == codeUnsupportedProtocol:
		return -32022
	case r.Code == "method_not_found":
		return -32601
	case r.Code == "tool_not_found", r.Code == "bad_params":
		return -32602
	case r.Status == http.StatusUnauthorized, r.Status == http.StatusForbidden, r.Status == http.StatusNotFound:
		return -32001
	case r.Status == http.StatusTooManyRequests, r.Status == http.StatusServiceUnavailable:
		return -32000
	case r.Status >= http.StatusInternalServerError:
		return -32603
	default:
		return -32600
	}
}

// IsResponse reports whether a server-sent event for an MCP client is a response, and not only a notification.
func IsResponse(event []byte) bool {
	return bytes.Contains(event, []byte(`"result"`)) || bytes.Contains(event, []byte(`"error"`))
}

// TranslateEvent is [TranslateMessage] for a server-sent event. It uses only the event's data lines.
func TranslateEvent(event []byte) (*Error, []byte) {
	if !bytes.Contains(event, []byte(`"error"`)) && !bytes.Contains(event, []byte(`"isError":true`)) &&
		!bytes.Contains(event, []byte(`"isError": true`)) {
		return nil, event
	}
	var data []byte
	for rest := event; len(rest) > 0; {
		var line []byte
		line, rest = cutLine(rest)
		if value, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			data = append(append(data, value...), '\n')
		}
	}
	r, message := TranslateMessage(data)
	if r == nil {
		return nil, event
	}
	return r, append(append([]byte("event: message\r\ndata: "), message...), "\r\n\r\n"...)
}
