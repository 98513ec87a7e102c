package docsgpt

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// ToolCallError is returned for an answer that reports a call of a tool which belongs to the account that answers: its
// memory, its scheduled tasks, its connectors. DocsGPT reports a call before it runs it, but runs it to the end even
// when nobody reads the answer, so ending the answer keeps back what came of the call, not the call itself.
type ToolCallError struct {
	// Tool is DocsGPT's name for the tool, such as "memory", in at most 64 bytes; empty: it could not be read.
	Tool string
}

func (e *ToolCallError) Error() string {
	if e.Tool == "" {
		return "the model called a tool"
	}
	return fmt.Sprintf("the model called the tool %q", e.Tool)
}

// maxToolName is how much of a tool's name is worth logging, in bytes.
const maxToolName = 64

// retrievalTools are the tools by which the model reads what the request itself is about: the sources in active_docs
// that DocsGPT is set to search on demand, and the request's own attachments. Calls of them are part of a plain answer.
var retrievalTools = map[string]bool{"internal_search": true, "graph_search": true, "attachments": true}

const (
	// A wiki is a source that the model may also write to. Reading it is retrieval.
	wikiTool, wikiView = "wiki", "wiki_view"
	// byClient is the status of a call that the client is asked to run, of a tool that it offered itself.
	byClient = "requires_client_execution"
)

// toolTypes is how the types of all events begin that report calls of tools.
var toolTypes = []byte("tool")

// FindToolCall looks for a reported call of the account's tools in a JSON answer of /api/answer, or in the data of one
// event. nil: there is none. What is no JSON object is taken for a report if it speaks of tool calls at all.
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

// findToolCallInEvent looks at each data line of an event, since published widgets read them one by one, and at all of
// them together, as the standard reads them.
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

// mayReportTools reports whether an event with that leadingType has to be read to know.
func mayReportTools(kind []byte) bool { return kind == nil || bytes.HasPrefix(kind, toolTypes) }

// leadingType returns the type of an event whose data begins with it in plain letters, as that of all versions since
// 0.13 does: {"type": "answer", ...}. nil: it has to be looked for.
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

// toolReport holds the raw values of the members by which DocsGPT reports calls of tools; nil: it has no such member.
type toolReport struct{ kind, data, calls, pending jsontext.Value }

// readToolReport reads an object whole, however long it is. ok is false if it is none, or nothing but JSON.
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

// checkCalls looks at a list of calls. An absent one and null count as empty.
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

// checkCall tells whether a call is one of the account's tools: everything is that is not known to be something else.
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

// decoderOf returns a decoder that reads what DocsGPT writes: a character that the model was cut off in is half a
// surrogate pair, and several members of one name are, as in Python, no error.
func decoderOf(value []byte) *jsontext.Decoder {
	return jsontext.NewDecoder(bytes.NewReader(value), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}
