package docsgpt

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// FuzzCall compares what the gate accepts with another JSON parser: only listed methods, the one tool, its arguments and a
// progress token. Everything else is rejected with a response that is valid JSON.
func FuzzCall(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{}}}`,
		`{"jsonrpc":"2.0","method":"notifications/initialized"}`,
		`{"jsonrpc":"2.0","id":"a\ud83d\ude00","method":"tools/list","params":{"cursor":"c","_meta":{"x":{"y":[]}}}}`,
		`{"jsonrpc":"2.0","id":-1.5e3,"method":"tools/call","params":{"name":"search_docs","arguments":{"query":"q","chunks":5},` +
			`"_meta":{"a":1,"progress\u0054oken":"t"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"n\u0061me":"search_docs","name":"x","arguments":{"query":"q"}}}`,
		`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search_docs","arguments":{"Query":"q","query":"r"}}}`,
		`{"method":"ping","jsonrpc":"2.0","id":1,"params":{"_meta":{}},"result":{}}`,
		`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///etc/passwd"}}`,
		`[{"jsonrpc":"2.0","id":1,"method":"ping"}]`,
	} {
		f.Add(seed)
	}
	e := endpoint(f, "", "mcp")
	f.Fuzz(func(t *testing.T, text string) {
		var b Body
		if b.Parse(e, []byte(text)) != nil || b.Check(e) != nil {
			return
		}
		call, err := b.Call()
		if err != nil {
			return
		}
		if no := b.CheckCall(&call, nil); no != nil {
			if answer := FormatRPC.AppendError(nil, no, "r"); !jsontext.Value(answer).IsValid() {
				t.Errorf("%q is rejected with %s", text, answer)
			}
			return
		}
		forwarded := b.Rewrite(e, Binding{Agent: "a"}, false)
		if !jsontext.Value(forwarded).IsValid() { // strict: no name twice, at any depth
			t.Fatalf("%q is forwarded as %q", text, forwarded)
		}
		var got map[string]any
		if err := json.Unmarshal(forwarded, &got); err != nil {
			if strings.Contains(err.Error(), "exceeded max depth") || strings.Contains(err.Error(), "cannot unmarshal number") {
				return // a number that float64 cannot hold
			}
			t.Fatalf("%q is forwarded as %q: %v", text, forwarded, err)
		}
		params, _ := got["params"].(map[string]any)
		only(t, got, "jsonrpc", "id", "method", "params")
		if got["method"] != call.Method || methods[call.Method].params == nil {
			t.Errorf("the method is %v, and %q to the gate", got["method"], call.Method)
		}
		if note, ok := params["_meta"].(map[string]any); ok {
			only(t, note, "progressToken")
		}
		if call.Method == "tools/call" {
			only(t, params, "name", "arguments", "_meta")
			arguments, _ := params["arguments"].(map[string]any)
			only(t, arguments, "query", "chunks")
			if _, isText := arguments["query"].(string); params["name"] != "search_docs" || !isText {
				t.Errorf("the tool is called with %v", params)
			}
		}
	})
}

func only(t *testing.T, object map[string]any, names ...string) {
	t.Helper()
	known := map[string]bool{}
	for _, name := range names {
		known[name] = true
	}
	for name := range object {
		if !known[name] {
			t.Errorf("%q got through in %v", name, object)
		}
	}
}

// FuzzTranslateEvent checks that an event is passed on unchanged or replaced by a complete event with the gate's own text.
func FuzzTranslateEvent(f *testing.F) {
	for _, seed := range []string{
		"event: message\r\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"isError\":true,\"content\":[{\"text\":\"Invalid API key\"}]}}\r\n\r\n",
		"data: {\"id\":{\"a\":1},\ndata: \"error\":{\"code\":-32602,\"message\":\"m\"}}\n\n",
		"data: {\"id\":{\ndata: \"a\":1},\"result\":{\"isError\":true}}\n\n",
		"data:{\"error\":{\"code\":1e5}}\r\r",
		": \"error\"\n\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, event string) {
		r, out := TranslateEvent([]byte(event))
		if r == nil {
			if string(out) != event {
				t.Errorf("%q became %q", event, out)
			}
			return
		}
		data, ok := strings.CutPrefix(string(out), "event: message\r\ndata: ")
		data, whole := strings.CutSuffix(data, "\r\n\r\n")
		if !ok || !whole || strings.ContainsAny(data, "\r\n") || !jsontext.Value(data).IsValid() || !strings.Contains(data, r.Message) {
			t.Errorf("%q became %q", event, out)
		}
	})
}
