package docsgpt

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// ToolCallError is returned for a response that reports a call of a tool of the account that answers: its memory, its
// scheduled tasks, its connectors. DocsGPT reports a call before it runs it, but completes it even if the response is no
// longer read. Ending the response therefore withholds the result of the call, but does not prevent the call.
type ToolCallError struct {
	// Tool is DocsGPT's name for the tool, such as "memory", in at most 64 bytes. It is empty if it could not be parsed.
	Tool string
}

func (e *ToolCallError) Error() string {
	if e.Tool == "" {
		return "the model called a tool"
	}
	return fmt.Sprintf("the model called the tool %q", e.Tool)
}

// maxToolName is the most bytes of a tool's name to log.
const maxToolName = 64

// retrievalTools are the tools with which the model reads what the request itself is about: the sources in active_docs
// that DocsGPT is configured to search on demand, and the request's attachments. Their calls are part of normal answers.
var retrievalTools = map[string]bool{"internal_search": true, "graph_search": true, "attachments": true}

const (
	// A wiki is a source that the model can also write to. Reading it is retrieval.
	wikiTool, wikiView = "wiki", "wiki_view"
	// byClient is the status of a call that the client is asked to run, of a tool that the client offered.
	byClient = "requires_client_execution"
)

// toolTypes is the prefix of the types of all events that report tool calls.
var toolTypes = []byte("tool")

// FindToolCall finds a reported call of the account's tools in a JSON response of /api/answer, or in the data of one
// event. It returns nil if there is none. Data that is not a JSON object is treated as a report if it mentions tool calls
// at all.
func FindToolCall(data []byte) *ToolCallError {
	report, ok := readToolReport(data)
	if !ok {
		if bytes.Contains(data, []byte("tool_call")) {
			return &ToolCallError{}
		}
		return nil
	}
	var calls []jsontext.Value
	switch kind, _ := textOf(report.kind); {
	case kind == "tool_call":
		if err := checkCall(report.data); err != nil {
			return err
		}
	case kind == "tool_calls":
	case kind == "tool_calls_pending":
		inner, ok := readToolReport(report.data)
		if !ok {
			return &ToolCallError{}
		}
		calls = append(calls, inner.pending)
	case strings.HasPrefix(kind, string(toolTypes)):
		return &ToolCallError{} // a type of a later version
	}
	for _, list := range append(calls, report.calls, report.pending) {
		if err := checkCalls(list); err != nil {
			return err
		}
	}
	return nil
}

// findToolCallInEvent checks each data line of an event separately, as published widgets read them, and all data lines
// together, as the standard reads them.
func findToolCallInEvent(event []byte) *ToolCallError {
	var first, joined []byte
	lines := 0
	event = bytes.TrimPrefix(event, []byte("\ufeff"))
	for len(event) > 0 {
		var line []byte
		line, event = cutLine(event)
		data, ok := bytes.CutPrefix(line, []byte("data:"))
		if !ok {
			continue
		}
		if mayReportTools(leadingType(data)) {
			if err := FindToolCall(data); err != nil {
				return err
			}
		}
		switch lines++; lines {
		case 1:
			first = data
		case 2:
			joined = append(append(joined, first...), '\n')
			fallthrough
		default:
			joined = append(append(joined, data...), '\n')
		}
	}
	if lines < 2 {
		return nil
	}
	return FindToolCall(joined)
}

// mayReportTools reports whether an event with that leadingType must be parsed to find tool calls.
func mayReportTools(kind []byte) bool { return kind == nil || bytes.HasPrefix(kind, toolTypes) }

// leadingType returns the type of an event whose data begins with an unescaped type, as in all versions since 0.13:
// {"type": "answer", ...}. It returns nil if the data must be parsed to find the type.
func leadingType(data []byte) []byte {
	rest, ok := bytes.CutPrefix(trimBlanks(data), []byte("{"))
	if !ok {
		return nil
	}
	if rest, ok = bytes.CutPrefix(trimBlanks(rest), []byte(`"type"`)); !ok {
		return nil
	}
	if rest, ok = bytes.CutPrefix(trimBlanks(rest), []byte(":")); !ok {
		return nil
	}
	if rest, ok = bytes.CutPrefix(trimBlanks(rest), []byte(`"`)); !ok {
		return nil
	}
	for i, c := range rest {
		switch {
		case c == '"':
			return rest[:i]
		case c != '_' && (c < 'a' || 'z' < c):
			return nil
		}
	}
	return nil
}

func trimBlanks(s []byte) []byte {
	for len(s) > 0 && (s[0] == ' ' || s[0] == '\t' || s[0] == '\n' || s[0] == '\r') {
		s = s[1:]
	}
	return s
}

// toolReport holds the raw values of the fields in which DocsGPT reports tool calls. A missing field is nil.
type toolReport struct{ kind, data, calls, pending jsontext.Value }

// readToolReport parses an object of any length. ok is false if the data is not exactly one JSON object.
func readToolReport(object []byte) (r toolReport, ok bool) {
	d := decoderOf(object)
	if d.PeekKind() != '{' {
		return r, false
	}
	err := forEachField(d, func(name string) error {
		value, err := d.ReadValue()
		if err != nil {
			return err
		}
		switch name {
		case "type":
			r.kind = value.Clone() // valid only until the decoder reads on
		case "data":
			r.data = value.Clone()
		case "tool_calls":
			r.calls = value.Clone()
		case "pending_tool_calls":
			r.pending = value.Clone()
		}
		return nil
	})
	return r, err == nil
}

// checkCalls checks a list of calls. A missing list and null are empty.
func checkCalls(list jsontext.Value) *ToolCallError {
	switch {
	case list == nil || list.Kind() == 'n':
		return nil
	case list.Kind() != '[':
		return &ToolCallError{}
	}
	d := decoderOf(list)
	if _, err := d.ReadToken(); err != nil {
		return &ToolCallError{}
	}
	for d.PeekKind() != ']' {
		call, err := d.ReadValue()
		if err != nil {
			return &ToolCallError{}
		}
		if err := checkCall(call); err != nil {
			return err
		}
	}
	return nil
}

// checkCall returns an error unless the call is known not to be of one of the account's tools.
func checkCall(call jsontext.Value) *ToolCallError {
	var tool, action, status string
	d := decoderOf(call)
	if d.PeekKind() != '{' {
		return &ToolCallError{}
	}
	err := forEachField(d, func(name string) error {
		value, err := d.ReadValue()
		if err != nil {
			return err
		}
		switch text, _ := textOf(value); name {
		case "tool_name":
			tool = text
		case "action_name":
			action = text
		case "status", "pause_type":
			status = text
		}
		return nil
	})
	switch {
	case err == nil && status == byClient, err == nil && retrievalTools[tool], err == nil && tool == wikiTool && action == wikiView:
		return nil
	}
	return &ToolCallError{Tool: tool[:min(len(tool), maxToolName)]}
}

// decoderOf returns a decoder that accepts what DocsGPT writes: half of a surrogate pair, if the model was cut off inside
// a character, and duplicate names, as in Python.
func decoderOf(value []byte) *jsontext.Decoder {
	return jsontext.NewDecoder(bytes.NewReader(value), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}
