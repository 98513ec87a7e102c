package docsgpt

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Request is a message of an MCP client: a request, or a notification, which has no ID.
type Request struct {
	Method string
	ID     []byte // raw JSON, a copy of the client's bytes; nil: a notification

	Stateless bool // belongs to no session; see StatelessProtocol

	params span
}

// IsInitialize reports whether the request opens a session.
func (c *Request) IsInitialize() bool { return c.Method == "initialize" }

// Class returns how long the request occupies DocsGPT.
func (c *Request) Class() Class {
	if c.Method == "tools/call" {
		return ClassAnswer
	}
	return ClassShort
}

// searchTool is the only tool that DocsGPT has, and maxChunks the largest number of results that a client may request.
const (
	searchTool = "search_docs"
	maxChunks  = 50
)

// maxID is the largest length of a request's ID, in bytes. Error responses repeat the ID.
const maxID = 256

// Errors of requests. Clients see their texts.
var (
	errNotRPC       = errors.New("it must be a single JSON-RPC 2.0 message")
	errID           = errors.New("its ID is too long")
	errNotification = errors.New("a request must have an ID, and a notification must not have one")
	errParams       = errors.New("the params are not valid")
)

// Call parses the JSON-RPC message in the body. [Body.Check] must have been called. The error's text is for the client.
func (b *Body) Call() (Request, error) {
	var c Request
	version := ""
	for _, f := range b.fields {
		raw := b.buf[f.start:f.end]
		switch f.spec.Name {
		case "jsonrpc":
			version = string(raw)
		case "id":
			if len(raw) > maxID {
				return c, errID
			}
			c.ID = bytes.Clone(raw)
		case "method":
			text, err := unquote(raw)
			if err != nil {
				return c, errSyntax
			}
			c.Method = string(text)
		case "params":
			c.params = f.span
		}
	}
	if version != `"2.0"` {
		return c, errNotRPC
	}
	if strings.HasPrefix(c.Method, "notifications/") != (c.ID == nil) {
		return c, errNotification
	}
	return c, nil
}

// param is a field of a request's params.
type param struct {
	name     string
	kinds    Kinds
	required bool
	check    func(raw jsontext.Value) error // nil: none
}

var metaParam = param{name: "_meta", kinds: KindObject}

var searchArguments = []param{
	{name: "query", kinds: KindString, required: true},
	{name: "chunks", kinds: KindNumber, check: checkChunks},
}

// CheckCall validates a request of the body. It returns nil if the request may be forwarded, or answered with
// [Request.Reply]. h is the header of the HTTP request, which [Request.CheckHeader] has checked. Params keep their bytes, except for "_meta": clients put arbitrary metadata there, of
// which DocsGPT needs only the progress token and, without a session, the description of the client.
func (b *Body) CheckCall(c *Request, h http.Header) *Error {
	m, known := c.method()
	if !known {
		return c.newError("method_not_found", "This method is not available here.")
	}
	raw := []byte("{}")
	if c.params.end > 0 {
		raw = b.buf[c.params.start:c.params.end]
	}
	if c.Stateless {
		if r := c.checkEnvelope(raw); r != nil {
			return r
		}
	}
	if c.Method == "tools/call" {
		name, _ := textOf(fieldOf(raw, "name"))
		if r := c.checkRepeated(h, headerName, name); r != nil {
			return r
		}
	}
	// The decoder rejects duplicate names at every depth: Python would use the last one, other parsers the first.
	err := checkParams(raw, m.params, func(value []byte, end int) error {
		return stripMeta(raw[end-len(value):end], c.Stateless)
	})
	switch {
	case errors.Is(err, errUnknownTool):
		return c.newError("tool_not_found", "This tool is not available here: the only tool is "+searchTool+".")
	case err != nil:
		return c.newError("bad_params", "The request is not valid: "+err.Error()+".")
	}
	return nil
}

// fieldOf returns the value of a field of an object, or nil.
func fieldOf(object []byte, name string) (value jsontext.Value) {
	d := jsontext.NewDecoder(bytes.NewReader(object))
	_ = forEachField(d, func(field string) error {
		v, err := d.ReadValue()
		if field == name {
			value = v.Clone()
		}
		return err
	})
	return value
}

// newError returns an error for the request. A request is answered with status 200 and a JSON-RPC error, which clients
// show; a notification has no response other than an HTTP status.
func (c *Request) newError(code, message string) *Error {
	status := http.StatusOK
	switch {
	case c.ID == nil:
		status = http.StatusBadRequest
	case c.Stateless && code == "method_not_found":
		status = http.StatusNotFound // the protocol requires it
	}
	return &Error{Status: status, Code: code, Message: message, ID: c.ID}
}

// checkParams validates an object against the allowed params. onMeta gets the value of "_meta" and the offset of its end.
func checkParams(raw []byte, list []param, onMeta func(value []byte, end int) error) error {
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	seen := make([]bool, len(list))
	err := forEachField(d, func(name string) error {
		i := slices.IndexFunc(list, func(p param) bool { return p.name == name })
		if i < 0 {
			return fmt.Errorf("%w: %s is not accepted", errParams, quoteID(name))
		}
		value, err := d.ReadValue()
		if err != nil {
			return err
		}
		seen[i] = true
		switch p := list[i]; {
		case p.kinds&kindOf(value) == 0:
			return fmt.Errorf("%w: %q has the wrong type", errParams, name)
		case p.check != nil:
			return p.check(value)
		case p.name == metaParam.name:
			return onMeta(value, int(d.InputOffset()))
		}
		return nil
	})
	var syntax *jsontext.SyntacticError
	if errors.As(err, &syntax) {
		// The decoder's text contains offsets that refer to a part of the body.
		return errParams
	}
	if err != nil {
		return err
	}
	for i, p := range list {
		if p.required && !seen[i] {
			return fmt.Errorf("%w: %q is missing", errParams, p.name)
		}
	}
	return nil
}

var errUnknownTool = errors.New("unknown tool")

func checkTool(raw jsontext.Value) error {
	if name, _ := textOf(raw); name != searchTool {
		return errUnknownTool
	}
	return nil
}

func checkArguments(raw jsontext.Value) error { return checkParams(raw, searchArguments, nil) }

func checkChunks(raw jsontext.Value) error {
	if n, err := strconv.ParseUint(string(raw), 10, 31); err != nil || n < 1 || n > maxChunks {
		return fmt.Errorf(`%w: "chunks" must be an integer from 1 to %d`, errParams, maxChunks)
	}
	return nil
}

func checkLogLevel(raw jsontext.Value) error {
	if level, _ := textOf(raw); !slices.Contains(logLevels, level) {
		return fmt.Errorf(`%w: "level" must be one of %s`, errParams, strings.Join(logLevels, ", "))
	}
	return nil
}

// stripMeta removes everything but a progress token from the object raw, in place, and in a stateless request everything but
// the description of the client. The remaining space is filled with blanks.
func stripMeta(raw []byte, stateless bool) error {
	var kept []byte
	others := false
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	if err := forEachField(d, func(name string) error {
		value, err := d.ReadValue()
		switch {
		case stateless && slices.Contains(envelope, name):
		case name != "progressToken":
			others = true
			return err
		case value.Kind() != '"' && value.Kind() != '0':
			return fmt.Errorf("%w: the progress token has the wrong type", errParams)
		}
		kept = append(append(append(append(kept, `,"`...), name...), `":`...), value...)
		return err
	}); err != nil {
		return err
	}
	if !others {
		return nil
	}
	out := append(raw[:0], '{')
	if len(kept) > 0 {
		out = append(out, kept[1:]...)
	}
	out = append(out, '}')
	for i := len(out); i < len(raw); i++ {
		raw[i] = ' '
	}
	return nil
}
