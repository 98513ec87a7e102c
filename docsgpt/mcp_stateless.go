package docsgpt

import (
	"net/http"
	"slices"
	"strings"
)

// StatelessProtocol is the version of MCP without sessions: each request has its protocol version and its client's
// capabilities in "_meta", and its method and the name of its tool in headers, too. DocsGPT serves it from 1.1 on.
const StatelessProtocol = "2026-07-28"

// sessionProtocols are the versions with sessions. Clients send the version in a header only after they have opened a session.
var sessionProtocols = []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"}

// The headers that repeat parts of the message. A server between client and DocsGPT may decide by them, so they must be right.
const (
	headerMethod = "Mcp-Method"
	headerName   = "Mcp-Name"
)

// The fields of "_meta" that describe the client in a request without a session. clientInfo is optional.
const (
	metaProtocol     = "io.modelcontextprotocol/protocolVersion"
	metaCapabilities = "io.modelcontextprotocol/clientCapabilities"
	metaClient       = "io.modelcontextprotocol/clientInfo"
)

var envelope = []string{metaProtocol, metaCapabilities, metaClient}

// Messages about the headers of the protocol.
const (
	msgProtocolTwice  = "The header Mcp-Protocol-Version is in the request twice. Send it once."
	msgUnsupported    = "This protocol version is not supported."
	msgHeaderMismatch = "The header %s does not match the message."
	msgNoEnvelope     = `The request is not valid: "_meta" must have the fields ` + metaProtocol + " and " + metaCapabilities + "."
)

// CheckHeader reads the protocol version of a request from its header, and checks the headers that repeat parts of the message.
// Only versions that the gate knows are accepted, since it must check every part of a message.
func (c *Request) CheckHeader(h http.Header) *Error {
	versions := h[headerProtocol]
	switch {
	case len(versions) > 1:
		return &Error{Status: http.StatusBadRequest, Code: "bad_request", Message: msgProtocolTwice, ID: c.ID}
	case len(versions) == 0 || slices.Contains(sessionProtocols, versions[0]):
	case versions[0] == StatelessProtocol:
		c.Stateless = true
	default:
		return &Error{
			Status: http.StatusBadRequest, Code: codeUnsupportedProtocol, Message: msgUnsupported, ID: c.ID, requested: versions[0],
		}
	}
	return c.checkRepeated(h, headerMethod, c.Method)
}

// checkRepeated returns an error unless the header has the value. A request of a session need not have it.
func (c *Request) checkRepeated(h http.Header, name, value string) *Error {
	if values := h[name]; len(values) == 0 && !c.Stateless || len(values) == 1 && values[0] == value {
		return nil
	}
	return c.headerMismatch(name)
}

// checkEnvelope checks the description of the client in the params of a request without a session.
func (c *Request) checkEnvelope(params []byte) *Error {
	meta := fieldOf(params, metaParam.name)
	protocol, ok := "", false
	if meta.Kind() == '{' {
		protocol, ok = textOf(fieldOf(meta, metaProtocol))
		ok = ok && fieldOf(meta, metaCapabilities).Kind() == '{'
	}
	switch {
	case !ok:
		return &Error{Status: http.StatusBadRequest, Code: "bad_params", Message: msgNoEnvelope, ID: c.ID}
	case protocol != StatelessProtocol:
		return c.headerMismatch(headerProtocol)
	}
	return nil
}

func (c *Request) headerMismatch(name string) *Error {
	return &Error{
		Status: http.StatusBadRequest, Code: codeHeaderMismatch, Message: strings.Replace(msgHeaderMismatch, "%s", name, 1), ID: c.ID,
	}
}

// Codes of errors that the protocol defines.
const (
	codeHeaderMismatch      = "header_mismatch"
	codeUnsupportedProtocol = "unsupported_protocol"
)

// maxProtocol is the largest length of a protocol version that an error repeats, in bytes.
const maxProtocol = 64

// appendProtocols appends the fields that the protocol defines for the error about an unsupported version.
func appendProtocols(out []byte, requested string) []byte {
	out = append(out, `,"supported":["`+StatelessProtocol+`"],"requested":`...)
	return appendText(out, requested[:min(len(requested), maxProtocol)])
}
