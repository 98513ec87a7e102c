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

// mcpMembers are those of a JSON-RPC request or notification. Answers, which a client would send to a request of the
// server, have no method and are refused: DocsGPT asks its clients nothing.
var mcpMembers = []Field{
	{Name: "jsonrpc", Kinds: KindString, Required: true},
	{Name: "id", Kinds: KindString | KindNumber},
	{Name: "method", Kinds: KindString, Required: true},
	{Name: "params", Kinds: KindObject},
}

// mcpEndpoints are the three things that a client of the streamable HTTP transport does: say something, listen, and end
// its session. The path is the one that every version with MCP serves; "/mcp", which most clients are given, is 404
// before 1.1 and an alias here.
func (v *Version) mcpEndpoints() []Endpoint {
	if !v.MCP {
		return nil
	}
	say := Endpoint{
		Name: "mcp", Path: "/mcp/", Method: http.MethodPost, Group: GroupMCP, Token: PlaceBearer, Shape: ShapeRPC,
		Body: BodyJSON, Members: mcpMembers, Agents: true, UnsupportedMessage: needsAgent,
		RequestHeaders: []string{HeaderSession, headerProtocol}, ResponseHeaders: []string{HeaderSession},
	}
	listen, end := say, say
	listen.Name, listen.Method, listen.Body, listen.Members = "mcp_stream", http.MethodGet, BodyNone, nil
	listen.Class = ClassListen
	listen.RequestHeaders = []string{HeaderSession, headerProtocol, "Last-Event-Id"}
	end.Name, end.Method, end.Body, end.Members = "mcp_end", http.MethodDelete, BodyNone, nil
	return []Endpoint{say, listen, end}
}

// Sentences about sessions. The client must begin a new session when it is told 404.
const (
	sentenceNoSession   = "There is no such session. Please connect again."
	sentenceNeedSession = "This request needs the session that connecting gave. Please connect again."
)

// NoSession is the refusal for a session that is unknown, over, or not the key's own.
func NoSession() *Error {
	return &Error{Status: http.StatusNotFound, Code: "session_not_found", Message: sentenceNoSession}
}

// NeedsSession is the refusal for a request that names no session and does not open one.
func NeedsSession() *Error {
	return &Error{Status: http.StatusBadRequest, Code: "session_missing", Message: sentenceNeedSession}
}

// translateMCP turns an HTTP error of DocsGPT's MCP server into a refusal; nil where it means what it means elsewhere.
// The server does not look at the credential before a tool is called, so a 400 says nothing about it.
func translateMCP(status int, said upstreamError) *Error {
	switch {
	case status == http.StatusNotFound && strings.Contains(said.text, "ession"):
		return NoSession()
	case status == http.StatusBadRequest:
		return &Error{Status: status, Code: "bad_request", Message: sentenceNotAccepted}
	case status == http.StatusMethodNotAllowed:
		return &Error{Status: status, Code: "method_not_allowed", Message: "This method is not allowed here."}
	case status == http.StatusConflict:
		return &Error{Status: status, Code: "conflict", Message: "This session is listening already."}
	case status == http.StatusNotAcceptable:
		return &Error{
			Status: status, Code: "not_acceptable",
			Message: "The header Accept must name application/json and text/event-stream.",
		}
	}
	return nil
}

// TranslateMessage looks at one message of DocsGPT to an MCP client: a JSON text. If it says that a request failed, the
// refusal tells how, and the new message is the one to give the client in its place, since DocsGPT's own words may hold
// exception texts. Else the refusal is nil, and the message goes on as it is.
//
// DocsGPT looks at the agent's key only when the tool is called, and says with HTTP 200 that it does not take it.
func TranslateMessage(message []byte) (*Error, []byte) {
	// Quotes inside a JSON string are escaped, so these can only be names or whole values.
	if !bytes.Contains(message, []byte(`"error"`)) && !bytes.Contains(message, []byte(`"isError"`)) {
		return nil, message
	}
	var m struct {
		id     jsontext.Value
		number jsontext.Value // of an error
		failed bool
		text   string // of a tool's error
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
		r := refusalOfTool(m.text)
		return r, appendToolError(nil, m.id, r.Message)
	case m.number != nil:
		r := &Error{Code: CodeUpstreamError, Message: msgUpstreamError, ID: m.id}
		switch string(m.number) {
		case "-32600", "-32601", "-32602":
			r.Code, r.Message = "bad_request", sentenceNotAccepted
		}
		return r, appendRPCError(nil, r, m.number, "")
	}
	return nil, message
}

// refusalOfTool tells what a tool's error means.
func refusalOfTool(text string) *Error {
	r := &Error{Code: CodeUpstreamError, Message: msgUpstreamError}
	switch {
	case strings.Contains(text, "Invalid API key"), strings.Contains(text, "Missing Bearer token"):
		r.Code = CodeUpstreamRefused
	case strings.Contains(text, "origin is not allowed"):
		r.Code, r.Message = "origin_not_allowed", sentenceOrigin
	case strings.Contains(text, "limit") || strings.Contains(text, "quota"):
		r.Code, r.Message = CodeUpstreamLimit, sentenceLimit
	}
	return r
}

// appendToolError appends a tool's answer that is an error with a sentence. Clients show such a one to their model or
// their user, where they would treat an error of the protocol as a fault of the connection.
func appendToolError(out []byte, id jsontext.Value, sentence string) []byte {
	out = appendID(out, id)
	out = append(out, `,"result":{"content":[{"type":"text","text":`...)
	out = appendText(out, sentence)
	return append(out, `}],"isError":true}}`...)
}

// appendRPCError appends a JSON-RPC error with a code of that protocol.
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
	return append(out, "}}}"...)
}

// appendID appends the beginning of a JSON-RPC answer, with the raw id of what it answers.
func appendID(out, id []byte) []byte {
	if len(id) == 0 {
		id = []byte("null")
	}
	out = append(out, `{"jsonrpc":"2.0","id":`...)
	return append(out, id...)
}

// rpcCode is the code that JSON-RPC, or the MCP servers that are most in use, have for a refusal.
func rpcCode(r *Error) int64 {
	switch {
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

// IsResponse tells whether a server-sent event for an MCP client answers a request, and is not only a notification.
func IsResponse(event []byte) bool {
	return bytes.Contains(event, []byte(`"result"`)) || bytes.Contains(event, []byte(`"error"`))
}

// TranslateEvent is [TranslateMessage] for a server-sent event; data lines are all that it looks at.
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
