package docsgpt

import (
	"net/http"
	"strings"
	"testing"
)

func mcpEndpoint(t *testing.T) *Endpoint {
	t.Helper()
	v, err := FindVersion("")
	if err != nil {
		t.Fatal(err)
	}
	routes, err := NewRoutes(v, []Group{GroupMCP}, []string{"passthrough"})
	if err != nil {
		t.Fatal(err)
	}
	return routes.Find("/mcp").Endpoint(http.MethodPost)
}

// passCall passes a body through the gate's steps and returns what is forwarded, or the code of the error.
func passCall(e *Endpoint, text string, h http.Header) (forwarded, code string) {
	var b Body
	if err := b.Parse(e, []byte(text)); err != nil {
		return "", "parse"
	}
	if err := b.Check(e); err != nil {
		return "", "check"
	}
	call, err := b.Call()
	if err != nil {
		return "", "call"
	}
	if no := call.CheckHeader(h); no != nil {
		return "", no.Code
	}
	if no := b.CheckCall(&call, h); no != nil {
		return "", no.Code
	}
	return string(b.Rewrite(e, Binding{Agent: "upstream"}, false)), ""
}

func TestCheckCallAccepts(t *testing.T) {
	e := mcpEndpoint(t)
	call := func(params string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search_docs","arguments":{"query":"q"}` + params + `}}`
	}
	for name, c := range map[string]struct{ body, want string }{
		"as it is":             {call(""), call("")},
		"text id":              {`{"jsonrpc":"2.0","id":"x-1","method":"ping"}`, `{"jsonrpc":"2.0","id":"x-1","method":"ping"}`},
		"own blanks and order": {`{ "method" : "ping" , "id":0 ,"jsonrpc":"2.0"}`, `{"method":"ping","id":0,"jsonrpc":"2.0"}`},
		"others are dropped":   {`{"jsonrpc":"2.0","id":1,"method":"ping","api_key":"k","passthrough":{},"x":1}`, `{"jsonrpc":"2.0","id":1,"method":"ping"}`},
		"escaped method":       {`{"jsonrpc":"2.0","id":1,"method":"\u0070ing"}`, `{"jsonrpc":"2.0","id":1,"method":"\u0070ing"}`},
		"chunks":               {strings.Replace(call(""), `"q"`, `"q","chunks":50`, 1), strings.Replace(call(""), `"q"`, `"q","chunks":50`, 1)},
		"progress token":       {call(`,"_meta":{"progressToken":7}`), call(`,"_meta":{"progressToken":7}`)},
		"byte order mark":      {"\ufeff" + `{"jsonrpc":"2.0","id":1,"method":"ping"}`, `{"jsonrpc":"2.0","id":1,"method":"ping"}`},
		"only the token stays": {
			call(`,"_meta":{"a/b":{"c":[1]},"progressToken":"t","d":2}`),
			call(`,"_meta":{"progressToken":"t"}` + strings.Repeat(" ", len(`"a/b":{"c":[1]},`+`,"d":2`))),
		},
		"no token": {call(`,"_meta":{"a":1}`), call(`,"_meta":{}` + strings.Repeat(" ", len(`"a":1`)))},
		"cancelled": {
			`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"r"}}`,
			`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"reason":"r"}}`,
		},
		"cursor": {
			`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"c"}}`,
			`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"c"}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if got, code := passCall(e, c.body, nil); got != c.want || code != "" {
				t.Errorf("got %s %s, want %s", got, code, c.want)
			}
		})
	}
}

func TestCheckCallRejects(t *testing.T) {
	e := mcpEndpoint(t)
	call := func(params string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":` + params + `}`
	}
	for name, c := range map[string]struct{ body, want string }{
		"two values":          {`{"jsonrpc":"2.0","id":1,"method":"ping"}{}`, "parse"},
		"NUL in the query":    {call(`{"name":"search_docs","arguments":{"query":"a\u0000b"}}`), "check"},
		"deep":                {call(strings.Repeat(`{"a":`, 65) + "1" + strings.Repeat("}", 65)), "parse"},
		"no version":          {`{"id":1,"method":"ping"}`, "check"},
		"method no text":      {`{"jsonrpc":"2.0","id":1,"method":1}`, "check"},
		"id a list":           {`{"jsonrpc":"2.0","id":[1],"method":"ping"}`, "check"},
		"id too long":         {`{"jsonrpc":"2.0","id":"` + strings.Repeat("x", maxID) + `","method":"ping"}`, "call"},
		"unknown method":      {`{"jsonrpc":"2.0","id":1,"method":"tools/call "}`, "method_not_found"},
		"no params":           {`{"jsonrpc":"2.0","id":1,"method":"tools/call"}`, "bad_params"},
		"name twice, escaped": {call(`{"name":"search_docs","n\u0061me":"x","arguments":{"query":"q"}}`), "bad_params"},
		"deep name twice":     {call(`{"name":"search_docs","arguments":{"query":"q"},"_meta":{"a":{"b":1,"b":2}}}`), "bad_params"},
		"arguments null":      {call(`{"name":"search_docs","arguments":null}`), "bad_params"},
		"query a number":      {call(`{"name":"search_docs","arguments":{"query":1}}`), "bad_params"},
		"chunks 0":            {call(`{"name":"search_docs","arguments":{"query":"q","chunks":0}}`), "bad_params"},
		"chunks 1.0":          {call(`{"name":"search_docs","arguments":{"query":"q","chunks":1.0}}`), "bad_params"},
		"chunks a text":       {call(`{"name":"search_docs","arguments":{"query":"q","chunks":"5"}}`), "bad_params"},
		"token an object":     {call(`{"name":"search_docs","arguments":{"query":"q"},"_meta":{"progressToken":{}}}`), "bad_params"},
		"meta a text":         {call(`{"name":"search_docs","arguments":{"query":"q"},"_meta":"m"}`), "bad_params"},
		"lone surrogate":      {call(`{"name":"search_docs","arguments":{"query":"\ud800"}}`), "parse"},
		"params of ping":      {`{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":1}}`, "bad_params"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, code := passCall(e, c.body, nil); code != c.want {
				t.Errorf("got %q and %s, want %q", code, got, c.want)
			}
		})
	}
}

func TestTranslateEvent(t *testing.T) {
	event := func(data string) string { return "event: message\r\ndata: " + data + "\r\n\r\n" }
	failed := func(text string) string {
		return event(`{"jsonrpc":"2.0","id":"a","result":{"content":[{"text":"Error calling tool 'search_docs': ` + text +
			`","type":"text"}],"isError":true}}`)
	}
	for name, c := range map[string]struct{ event, code, sentence string }{
		"an answer":             {event(`{"jsonrpc":"2.0","id":"a","result":{"content":[],"isError":false}}`), "", ""},
		"words in a text":       {event(`{"jsonrpc":"2.0","id":"a","result":{"content":[{"text":"\"isError\":true \"error\""}],"isError":false}}`), "", ""},
		"a name in the answer":  {event(`{"jsonrpc":"2.0","id":"a","result":{"structuredContent":{"error":"x"},"isError":false}}`), "", ""},
		"a comment":             {": ping \"error\"\r\n\r\n", "", ""},
		"no JSON":               {event(`{"error"`), "", ""},
		"a key unknown":         {failed("Invalid API key"), CodeUpstreamRefused, msgUpstreamError},
		"no key":                {failed("Missing Bearer token"), CodeUpstreamRefused, msgUpstreamError},
		"an origin":             {failed("This origin is not allowed to use this agent's API key."), "origin_not_allowed", MessageOriginNotAllowed},
		"a limit":               {failed("Exceeding usage limit"), CodeUpstreamLimit, msgLimitReached},
		"an exception":          {failed("connection to 10.0.0.7 failed"), CodeUpstreamError, msgUpstreamError},
		"lines end in LF":       {strings.ReplaceAll(failed("Invalid API key"), "\r", ""), CodeUpstreamRefused, msgUpstreamError},
		"data in several lines": {"data: {\"id\":\"a\",\ndata: \"result\":{\"isError\":true}}\n\n", CodeUpstreamError, msgUpstreamError},
		"params not understood": {event(`{"jsonrpc":"2.0","id":"a","error":{"code":-32602,"message":"secret"}}`), "bad_request", msgNotAccepted},
		"an inner error":        {event(`{"jsonrpc":"2.0","id":"a","error":{"code":0,"message":"secret","data":"trace"}}`), CodeUpstreamError, msgUpstreamError},
	} {
		t.Run(name, func(t *testing.T) {
			r, got := TranslateEvent([]byte(c.event))
			if c.code == "" {
				if r != nil || string(got) != c.event {
					t.Errorf("%+v: %s", r, got)
				}
				return
			}
			if r == nil || r.Code != c.code {
				t.Fatalf("got %+v, want %s", r, c.code)
			}
			text := string(got)
			if !strings.HasPrefix(text, "event: message\r\ndata: {\"jsonrpc\":\"2.0\",\"id\":\"a\",") || !strings.HasSuffix(text, "}\r\n\r\n") ||
				!strings.Contains(text, c.sentence) || strings.Contains(text, "secret") || strings.Contains(text, "API key") && c.code != "origin_not_allowed" {
				t.Errorf("got %s", text)
			}
		})
	}
}

func TestMCPByVersion(t *testing.T) {
	for name, want := range map[string]bool{"0.8": false, "0.16": false, "0.17": true, "0.21": true, "1.1": true} {
		v, err := FindVersion(name)
		if err != nil {
			t.Fatal(err)
		}
		routes, err := NewRoutes(v, []Group{GroupMCP}, nil)
		if (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
		if want && (routes.Find("/mcp") == nil || routes.Find("/mcp").Path != "/mcp/" || routes.Find("/mcp/x") != nil || routes.Find("/mcp//") != nil) {
			t.Errorf("%s: wrong paths", name)
		}
	}
}
