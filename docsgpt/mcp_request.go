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

// Request is a message of an MCP client: a request, or a notification, which has no id.
type Request struct {
	Method string
	ID     []byte // as it stands in the body, in memory of its own; nil: a notification

	params span
}

// IsInitialize tells whether the call opens a session.
func (c *Request) IsInitialize() bool { return c.Method == "initialize" }

// Class is for how long the call occupies DocsGPT.
func (c *Request) Class() Class {
	if c.Method == "tools/call" {
		return ClassAnswer
	}
	return ClassShort
}

// searchTool is the one tool that DocsGPT has, and maxChunks how many hits may be asked of it.
const (
	searchTool = "search_docs"
	maxChunks  = 50
)

// maxID is how long the id of a call may be, in bytes. It is repeated in refusals.
const maxID = 256

// Errors of calls. Their texts go to the client.
var (
	errNotRPC       = errors.New("it must be one JSON-RPC 2.0 message")
	errID           = errors.New("its id is too long")
	errNotification = errors.New("only notifications go without an id, and always do")
	errParams       = errors.New("the params are not valid")
)

// Request reads which call the body holds. [Body.Check] must have gone before. The error's text is meant for the client.
func (b *Body) Call() (Request, error) {
	var c Request
	version := ""
	for _, f := range b.fields {
		raw := b.buf[f.start:f.end]
		switch f.member.Name {
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

// param is a member of a call's params.
type param struct {
	name     string
	kinds    Kinds
	required bool
	check    func(raw jsontext.Value) error // nil: none
}

var metaParam = param{name: "_meta", kinds: KindObject}

// calls are the methods that are let through, each with all params that it may have. What else there is (resources,
// prompts, completion, logging, sampling, tasks) a key does not need, and new methods come with each version.
var calls = map[string][]param{
	"initialize": {
		{name: "protocolVersion", kinds: KindString, required: true},
		{name: "capabilities", kinds: KindObject, required: true},
		{name: "clientInfo", kinds: KindObject, required: true},
		metaParam,
	},
	"notifications/initialized": {metaParam},
	"notifications/cancelled": {
		{name: "requestId", kinds: KindString | KindNumber},
		{name: "reason", kinds: KindString},
		metaParam,
	},
	"ping":       {metaParam},
	"tools/list": {{name: "cursor", kinds: KindString}, metaParam},
	"tools/call": {
		{name: "name", kinds: KindString, required: true, check: checkTool},
		{name: "arguments", kinds: KindObject, required: true, check: checkArguments},
		metaParam,
	},
}

var searchArguments = []param{
	{name: "query", kinds: KindString, required: true},
	{name: "chunks", kinds: KindNumber, check: checkChunks},
}

// CheckCall tells whether the gate lets a call of the body through; nil: it does. Params stay as they are, to the byte,
// but for "_meta": clients put their own notes there, for which DocsGPT has no use, so only a progress token stays.
func (b *Body) CheckCall(c *Request) *Error {
	list, known := calls[c.Method]
	if !known {
		return c.refusal("method_not_found", "This method is not available here.")
	}
	raw := []byte("{}")
	if c.params.end > 0 {
		raw = b.buf[c.params.start:c.params.end]
	}
	// The decoder refuses names that stand twice, at every depth: Python would take the last, others the first.
	err := checkParams(raw, list, func(value []byte, end int) error {
		return stripMeta(raw[end-len(value) : end])
	})
	switch {
	case errors.Is(err, errUnknownTool):
		return c.refusal("tool_not_found", "This tool is not available here: there is only "+searchTool+".")
	case err != nil:
		return c.refusal("bad_params", "The request is not valid: "+err.Error()+".")
	}
	return nil
}

// refusal refuses the call. A request gets an ordinary answer that says so, which clients show to whoever called; to a
// notification there is no answer but an HTTP status.
func (c *Request) refusal(code, message string) *Error {
	status := http.StatusOK
	if c.ID == nil {
		status = http.StatusBadRequest
	}
	return &Error{Status: status, Code: code, Message: message, ID: c.ID}
}

// checkParams tests an object against all that it may have. onMeta gets the value of "_meta" and where it ends.
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
		// The decoder's words name places in a part of the body.
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
		return fmt.Errorf(`%w: "chunks" must be a whole number from 1 to %d`, errParams, maxChunks)
	}
	return nil
}

// stripMeta takes everything but a progress token out of the object raw, in place: the room that is left is filled
// with blanks.
func stripMeta(raw []byte) error {
	var token jsontext.Value
	others := false
	d := jsontext.NewDecoder(bytes.NewReader(raw))
	if err := forEachField(d, func(name string) error {
		value, err := d.ReadValue()
		switch {
		case name != "progressToken":
			others = true
		case value.Kind() != '"' && value.Kind() != '0':
			return fmt.Errorf("%w: the progress token has the wrong type", errParams)
		default:
			token = value.Clone()
		}
		return err
	}); err != nil {
		return err
	}
	if !others {
		return nil
	}
	out := append(raw[:0], '{')
	if token != nil {
		out = append(append(out, `"progressToken":`...), token...)
	}
	out = append(out, '}')
	for i := len(out); i < len(raw); i++ {
		raw[i] = ' '
	}
	return nil
}
