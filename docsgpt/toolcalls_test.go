package docsgpt

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// toolEvents are data of events that report a call of a tool of the account, as DocsGPT 1.1 writes them and in equivalent
// spellings.
var toolEvents = []string{
	`{"type": "tool_call", "data": {"tool_name": "memory", "call_id": "c", "action_name": "memory_view", "arguments": {}, "status": "pending"}}`,
	`{"type": "tool_call", "data": {"tool_name": "memory", "result": "a note", "status": "completed"}}`,
	`{"type":"tool_call","data":{"tool_name":"read_webpage"}}`,
	"\t{ \"type\"\t:  \"tool_call\" , \"data\": {\"tool_name\": \"scheduler\"}}",
	`{"data": {"tool_name": "memory"}, "type": "tool_call"}`,
	`{"\u0074ype": "tool_call", "data": {"tool_name": "memory"}}`,
	`{"type": "\u0074ool_call", "data": {"tool_name": "memory"}}`,
	`{"type": "tool_call", "d\u0061ta": {"tool_name": "memory"}}`,
	`{"answer": "", "type": "tool_calls", "tool_calls": [{"tool_name": "memory"}]}`,
	`{"type": "tool_calls", "tool_calls": [{"tool_name": "internal_search"}, {"tool_name": "memory"}]}`,
	`{"type": "tool_calls", "tool_calls": {"tool_name": "memory"}}`,
	`{"type": "tool_calls_pending", "data": {"pending_tool_calls": [{"tool_name": "mcp_tool", "pause_type": "awaiting_approval"}]}}`,
	`{"type": "tool_calls_pending", "data": []}`,
	`{"type": "tool_call", "data": {"tool_name": "memory", "arguments": {"tool_name": "internal_search", "status": "requires_client_execution"}}}`,
	`{"type": "tool_call", "data": {"tool_name": "internal_search", "tool_name": "memory"}}`,
	`{"type": "tool_call", "data": {"tool_name": "unknown", "action_name": "internal_search", "status": "error"}}`,
	`{"type": "tool_call", "data": {"tool_name": ["internal_search"]}}`,
	`{"type": "tool_call", "data": {"tool_name": "wiki", "action_name": "wiki_create"}}`,
	`{"type": "tool_call", "data": {"tool_name": "wiki", "action_name": "wiki_view_1"}}`,
	`{"type": "tool_call", "data": "internal_search"}`,
	`{"type": "tool_call"}`,
	`{"type": "tool_call", "data": {"tool_name": "internal_search"}`, // no JSON
	`{"type": "tool_result", "data": {}}`,                            // a later version's
	`{"type": "tool_call", "data": {"tool_name": "memory", "result": "\ud800"}}`,
}

// plainEvents are data of events that do not report a call.
var plainEvents = []string{
	`{"type": "tool_calls", "tool_calls": []}`,
	`{"type": "tool_calls", "tool_calls": null}`,
	`{"type": "tool_calls", "tool_calls": [{"tool_name": "internal_search", "action_name": "search"}]}`,
	`{"type": "tool_call", "data": {"tool_name": "internal_search", "action_name": "search", "arguments": {"query": "x"}, "status": "pending"}}`,
	`{"type": "tool_call", "data": {"tool_name": "graph_search", "status": "completed"}}`,
	`{"type": "tool_call", "data": {"tool_name": "attachments", "action_name": "attachments_read"}}`,
	`{"type": "tool_call", "data": {"tool_name": "wiki", "action_name": "wiki_view"}}`,
	`{"type": "tool_call", "data": {"tool_name": "mine", "status": "requires_client_execution"}}`,
	`{"type": "tool_calls_pending", "data": {"pending_tool_calls": [{"tool_name": "mine", "pause_type": "requires_client_execution"}]}}`,
	`{"type": "answer", "answer": "{\"type\": \"tool_call\", \"data\": {}}"}`,
	`{"type": "thought", "thought": "tool_call"}`,
	`{"type": "source", "source": [{"text": "type: tool_call"}]}`,
	`{"answer": "tool_calls"}`,
	`{"type": "answer", "answer": "\ud83d"}`,
	`{"answer": "\ud83d", "tool_calls": []}`,
	`[DONE]`,
	`plain text`,
}

func TestRejectToolsEndsStreamBeforeToolCall(t *testing.T) {
	const before, after = "data: {\"type\": \"answer\", \"answer\": \"a\"}\n\n", "data: {\"type\": \"answer\", \"answer\": \"b\"}\n\n"
	long := `{"type": "tool_call", "data": {"arguments": {"text": "` + strings.Repeat("x", 3*maxInspectedEvent) + `"}, "tool_name": "memory"}}`
	deep := `{"type": "tool_call", "data": {"tool_name": "internal_search", "arguments": ` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}}`
	for _, event := range append(toolEvents, long, deep) {
		for _, spelled := range []string{
			"data: " + event + "\n\n",
			"id: 7\r\ndata:" + event + "\r\n\r\n",
			"data: {\"type\": \"thought\"}\ndata: " + event + "\n\n",
		} {
			for _, verbatim := range []bool{false, true} {
				for _, size := range []int{1, 7, 1 << 20} {
					f := SSEFilter{RejectTools: true, Verbatim: verbatim}
					out, err := filterInPieces(&f, before+spelled+after, size)
					var call *ToolCallError
					if !errors.As(err, &call) {
						t.Fatalf("%q in pieces of %d: passed: %v", spelled, size, err)
					}
					if string(out) != before {
						t.Fatalf("%q in pieces of %d: what came out is %q", spelled, size, out)
					}
					if _, err := f.Filter(nil, []byte(after)); !errors.As(err, &call) {
						t.Fatalf("%q: what follows is passed on", spelled)
					}
				}
			}
		}
		f := SSEFilter{}
		if _, err := f.Filter(nil, []byte("data: "+event+"\n\n")); err != nil {
			t.Errorf("%s: rejected where tools are allowed: %v", event, err)
		}
	}
}

// filterInPieces filters a stream in chunks of a size, and stops at the first error.
func filterInPieces(f *SSEFilter, stream string, size int) (out []byte, err error) {
	for rest := []byte(stream); len(rest) > 0; {
		n := min(len(rest), size)
		if out, err = f.Filter(out, rest[:n]); err != nil {
			return out, err
		}
		rest = rest[n:]
	}
	return out, nil
}

// A JSON parser that joins the data lines of an event sees one object.
func TestToolCallOverSeveralDataLines(t *testing.T) {
	f := SSEFilter{RejectTools: true}
	out, err := f.Filter(nil, []byte("data: {\"type\":\ndata: \"tool\\u005fcall\", \"data\":\ndata: {\"tool_name\": \"memory\"}}\n\n"))
	if call := (*ToolCallError)(nil); !errors.As(err, &call) || call.Tool != "memory" || len(out) > 0 {
		t.Errorf("%q, %v", out, err)
	}
}

func TestRetrievalToolsAreAllowed(t *testing.T) {
	for _, event := range plainEvents {
		stream := "data: " + event + "\n\n"
		for _, size := range []int{1, 1 << 20} {
			f := SSEFilter{RejectTools: true}
			if out, err := filterInPieces(&f, stream, size); err != nil || string(out) != stream {
				t.Errorf("%s: %q, %v", event, out, err)
			}
		}
	}
}

func TestFindToolCallInJSONResponse(t *testing.T) {
	for _, c := range []struct {
		body string
		want string // the tool; "-": none
	}{
		{`{"answer":"a","conversation_id":"c","sources":[],"thought":"","tool_calls":[]}`, "-"},
		{`{"answer":"tool_calls: [{\"tool_name\": \"memory\"}]","tool_calls":null}`, "-"},
		{`{"answer":"a","tool_calls":[{"tool_name":"internal_search","action_name":"search"}]}`, "-"},
		{`{"answer":"a","tool_calls":[{"tool_name":"internal_search"},{"tool_name":"memory"}]}`, "memory"},
		{`{"answer":"a","tool\u005fcalls":[{"tool_name":"scheduler"}]}`, "scheduler"},
		{`{"answer":"a","pending_tool_calls":[{"tool_name":"mcp_tool"}]}`, "mcp_tool"},
		{`{"answer":"a"}`, "-"},
		{`{"answer":"a","tool_calls":[]`, ""},
		{`no JSON`, "-"},
		{``, "-"},
	} {
		got := "-"
		if call := FindToolCall([]byte(c.body)); call != nil {
			got = call.Tool
		}
		if got != c.want {
			t.Errorf("%s: %q, not %q", c.body, got, c.want)
		}
	}
}

func TestToolNameIsTruncated(t *testing.T) {
	call := FindToolCall(fmt.Appendf(nil, `{"tool_calls":[{"tool_name":%q}]}`, strings.Repeat("n", 1<<20)))
	if call == nil || len(call.Tool) > maxToolName || len(call.Error()) > 2*maxToolName {
		t.Error("the name is not bounded")
	}
}

func FuzzToolCalls(f *testing.F) {
	for _, event := range append(toolEvents, plainEvents...) {
		f.Add([]byte("data: "+event+"\n\n"), uint16(5))
	}
	f.Add([]byte("data: {\"type\":\ndata: \"tool_call\"}\n\n"), uint16(3))
	f.Fuzz(func(t *testing.T, stream []byte, cut uint16) {
		whole, pieces := SSEFilter{RejectTools: true}, SSEFilter{RejectTools: true}
		want, wantErr := whole.Filter(nil, stream)
		got, gotErr := filterInPieces(&pieces, string(stream), int(cut)%64+1)
		if bytes.HasPrefix(stream, []byte("\xef")) {
			return // a byte order mark comes whole
		}
		if (wantErr == nil) != (gotErr == nil) || !bytes.Equal(got, want) {
			t.Fatalf("in chunks: %q, %v\nin one chunk: %q, %v", got, gotErr, want, wantErr)
		}
		// The output reports no call to a client that parses it by the standard.
		for event := range strings.SplitSeq(string(want), "\n\n") {
			data := strings.TrimPrefix(strings.ReplaceAll(event, "\ndata: ", "\n"), "data: ")
			if !mayReportTools(leadingType([]byte(data))) {
				continue
			}
			if call := FindToolCall([]byte(data)); call != nil {
				t.Fatalf("passed: %q", event)
			}
		}
	})
}
