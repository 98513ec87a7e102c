package docsgpt

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// stateless returns the header of a request without a session, with more fields (name, value, ...).
func stateless(method string, more ...string) http.Header {
	h := http.Header{headerProtocol: {StatelessProtocol}, headerMethod: {method}}
	for i := 0; i < len(more); i += 2 {
		h.Add(more[i], more[i+1])
	}
	return h
}

const (
	metaMinimum = `"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}`
	metaMembers = `"_meta":{` + metaMinimum + `}`
)

func message(method, params string) string {
	return `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":{` + params + `}}`
}

func TestStatelessRequestsAreForwarded(t *testing.T) {
	e := mcpEndpoint(t)
	const arguments = `"name":"search_docs","arguments":{"query":"q"},`
	for name, c := range map[string]struct {
		body, want string
		h          http.Header
	}{
		"discover":   {body: message("server/discover", metaMembers), h: stateless("server/discover")},
		"tools/list": {body: message("tools/list", `"cursor":"c",`+metaMembers), h: stateless("tools/list")},
		"tools/call": {body: message("tools/call", arguments+metaMembers), h: stateless("tools/call", headerName, "search_docs")},
		"with the client's name and a progress token": {
			body: message("tools/call", arguments+`"_meta":{"progressToken":1,"io.modelcontextprotocol/clientInfo":{"name":"c","x":[1]},`+metaMinimum+`}`),
			h:    stateless("tools/call", headerName, "search_docs"),
		},
		"other metadata is dropped": {
			body: message("tools/list", `"_meta":{"io.modelcontextprotocol/logLevel":"debug",`+metaMinimum+`,"traceparent":"x"}`),
			want: message("tools/list", metaMembers+strings.Repeat(" ", len(`"io.modelcontextprotocol/logLevel":"debug",,"traceparent":"x"`))),
			h:    stateless("tools/list"),
		},
	} {
		t.Run(name, func(t *testing.T) {
			if c.want == "" {
				c.want = c.body
			}
			got, code := passCall(e, c.body, c.h)
			if code != "" || got != c.want {
				t.Errorf("got %q %s, want %s", code, got, c.want)
			}
		})
	}
}

func TestStatelessRequestsAreRejected(t *testing.T) {
	e := mcpEndpoint(t)
	call := func(name string) string {
		return message("tools/call", `"name":"`+name+`","arguments":{"query":"q"},`+metaMembers)
	}
	for name, c := range map[string]struct {
		body string
		h    http.Header
		want string
	}{
		"no _meta":             {message("tools/list", ""), stateless("tools/list"), "bad_params"},
		"no params":            {`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, stateless("tools/list"), "bad_params"},
		"no capabilities":      {message("tools/list", `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}`), stateless("tools/list"), "bad_params"},
		"capabilities a list":  {message("tools/list", strings.Replace(metaMembers, "{}", "[]", 1)), stateless("tools/list"), "bad_params"},
		"_meta a list":         {message("tools/list", `"_meta":[]`), stateless("tools/list"), "bad_params"},
		"_meta twice":          {message("tools/list", metaMembers+`,"_m\u0065ta":{}`), stateless("tools/list"), "bad_params"},
		"protocol twice":       {message("tools/list", `"_meta":{`+metaMinimum+`,`+metaMinimum+`}`), stateless("tools/list"), "bad_params"},
		"another protocol":     {message("tools/list", strings.Replace(metaMembers, "07-28", "07-29", 1)), stateless("tools/list"), codeHeaderMismatch},
		"unknown protocol":     {message("tools/list", metaMembers), http.Header{headerProtocol: {"2027-01-01"}}, codeUnsupportedProtocol},
		"no date":              {message("tools/list", metaMembers), http.Header{headerProtocol: {"x"}}, codeUnsupportedProtocol},
		"two protocols":        {message("tools/list", metaMembers), stateless("tools/list", headerProtocol, "2025-06-18"), "bad_request"},
		"no method":            {message("tools/list", metaMembers), http.Header{headerProtocol: {StatelessProtocol}}, codeHeaderMismatch},
		"another method":       {message("tools/list", metaMembers), stateless("server/discover"), codeHeaderMismatch},
		"method in upper case": {message("tools/list", metaMembers), stateless("TOOLS/LIST"), codeHeaderMismatch},
		"two methods":          {message("tools/list", metaMembers), stateless("tools/list", headerMethod, "tools/list"), codeHeaderMismatch},
		"no tool in header":    {call("search_docs"), stateless("tools/call"), codeHeaderMismatch},
		"other tool in header": {call("search_docs"), stateless("tools/call", headerName, "x"), codeHeaderMismatch},
		"other tool in body":   {call("x"), stateless("tools/call", headerName, "search_docs"), codeHeaderMismatch},
		"unknown tool":         {call("x"), stateless("tools/call", headerName, "x"), "tool_not_found"},
		"initialize":           {message("initialize", metaMembers), stateless("initialize"), "method_not_found"},
		"ping":                 {message("ping", metaMembers), stateless("ping"), "method_not_found"},
		"log level":            {message("logging/setLevel", `"level":"info",`+metaMembers), stateless("logging/setLevel"), "method_not_found"},
		"listening":            {message("subscriptions/listen", metaMembers), stateless("subscriptions/listen"), "method_not_found"},
		"a notification": {
			`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,` + metaMembers + `}}`, stateless("notifications/cancelled"), "method_not_found",
		},
		"session, other method in header": {message("ping", ""), http.Header{headerMethod: {"tools/call"}}, codeHeaderMismatch},
		"session, discover":               {message("server/discover", metaMembers), nil, "method_not_found"},
		"session, log level":              {message("logging/setLevel", `"level":"loud"`), nil, "bad_params"},
		"session, resources/read":         {message("resources/read", `"uri":"file:///etc/passwd"`), nil, "method_not_found"},
		"session, prompts/get":            {message("prompts/get", `"name":"x"`), nil, "method_not_found"},
	} {
		t.Run(name, func(t *testing.T) {
			if got, code := passCall(e, c.body, c.h); code != c.want {
				t.Errorf("got %q and %s, want %q", code, got, c.want)
			}
		})
	}
}

func TestErrorsOfStatelessProtocol(t *testing.T) {
	c := Request{Method: "tools/list", ID: []byte("7")}
	r := c.CheckHeader(http.Header{headerProtocol: {strings.Repeat("9", 99)}})
	want := `{"jsonrpc":"2.0","id":7,"error":{"code":-32022,"message":"This protocol version is not supported.","data":` +
		`{"code":"unsupported_protocol","request_id":"r","supported":["2026-07-28"],"requested":"` + strings.Repeat("9", maxProtocol) + `"}}}` + "\n"
	if got := string(FormatRPC.AppendError(nil, r, "r")); got != want || r.Status != http.StatusBadRequest {
		t.Errorf("got %d %s, want %s", r.Status, got, want)
	}
	r = c.CheckHeader(stateless("x"))
	if got := string(FormatRPC.AppendError(nil, r, "r")); !strings.Contains(got, `"code":-32020`) || r.Status != http.StatusBadRequest {
		t.Errorf("got %d %s", r.Status, got)
	}
	if r = c.newError("method_not_found", ""); r.Status != http.StatusNotFound {
		t.Errorf("an unknown method has status %d", r.Status)
	}
}

// Clients request these whether or not the server advertises them, and some end the session after an error.
func TestReply(t *testing.T) {
	for method, want := range map[string][2]string{ // with a session, and without
		"prompts/list":             {`{"prompts":[]}`, `{"prompts":[],"resultType":"complete","ttlMs":0,"cacheScope":"private"}`},
		"resources/list":           {`{"resources":[]}`, `{"resources":[],"resultType":"complete","ttlMs":0,"cacheScope":"private"}`},
		"resources/templates/list": {`{"resourceTemplates":[]}`, `{"resourceTemplates":[],"resultType":"complete","ttlMs":0,"cacheScope":"private"}`},
		"logging/setLevel":         {`{}`, ""},
		"tools/list":               {"", ""},
		"initialize":               {"", ""},
		"":                         {"", ""},
	} {
		for i, result := range want {
			c := Request{Method: method, ID: []byte(`"a"`), Stateless: i == 1}
			if result != "" {
				result = `{"jsonrpc":"2.0","id":"a","result":` + result + "}\n"
			}
			if got := string(c.Reply()); got != result {
				t.Errorf("%s, stateless %t: got %s, want %s", method, c.Stateless, got, result)
			}
		}
	}
	e := mcpEndpoint(t)
	for _, body := range []string{message("prompts/list", `"cursor":"c"`), message("logging/setLevel", `"level":"warning","_meta":{"x":1}`)} {
		if _, code := passCall(e, body, nil); code != "" {
			t.Errorf("%s: %s", body, code)
		}
	}
}

func TestFilterCapabilities(t *testing.T) {
	const (
		all  = `{"logging":{},"prompts":{"listChanged":true},"tools":{"listChanged":true},"resources":{}, "extensions":{"x":{}}}`
		only = `{"tools":{"listChanged":true}}`
	)
	for name, c := range map[string]struct{ in, want string }{
		"JSON":            {`{"id":1,"result":{"a":{"capabilities":1},"capabilities":` + all + `,"b":2}}`, `{"id":1,"result":{"a":{"capabilities":1},"capabilities":` + only + `,"b":2}}`},
		"an event":        {"event: message\r\ndata: {\"result\":{\"capabilities\": " + all + "}}\r\n\r\n", "event: message\r\ndata: {\"result\":{\"capabilities\": " + only + "}}\r\n\r\n"},
		"no tools":        {`{"result":{"capabilities":{"logging":{}}}}`, `{"result":{"capabilities":{}}}`},
		"none":            {`{"result":{"tools":[]}}`, `{"result":{"tools":[]}}`},
		"not an object":   {`{"result":{"capabilities":[]}}`, `{"result":{"capabilities":[]}}`},
		"an error":        {`{"error":{"code":1}}`, `{"error":{"code":1}}`},
		"not JSON":        {`{"result":{"capabilities":{`, `{"result":{"capabilities":{`},
		"a comment":       {": ping\r\n\r\n", ": ping\r\n\r\n"},
		"elsewhere":       {`{"params":{"capabilities":` + all + `}}`, `{"params":{"capabilities":` + all + `}}`},
		"an escaped name": {`{"result":{"c\u0061pabilities":` + all + `}}`, `{"result":{"c\u0061pabilities":` + only + `}}`},
	} {
		if got := string(FilterCapabilities([]byte(c.in))); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

// FuzzStatelessCall is FuzzCall for requests without a session.
func FuzzStatelessCall(f *testing.F) {
	for _, seed := range []string{
		message("server/discover", metaMembers), message("tools/list", `"cursor":"c",`+metaMembers),
		message("tools/call", `"arguments":{"query":"q"},"name":"search_docs","_meta":{"x":1,`+metaMinimum+`,"progressToken":"t"}`),
		message("tools/list", `"_meta":{"\u0069o.modelcontextprotocol/clientInfo":[{}],`+metaMinimum+`}`),
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
		h := stateless(call.Method, headerName, searchTool)
		if r := call.CheckHeader(h); r != nil {
			t.Fatalf("%q: the header is rejected: %+v", text, r)
		}
		if b.CheckCall(&call, h) != nil {
			return
		}
		forwarded := b.Rewrite(e, Binding{Agent: "a"}, false)
		if !jsontext.Value(forwarded).IsValid() {
			t.Fatalf("%q is forwarded as %q", text, forwarded)
		}
		var got struct {
			Method string
			Params struct {
				Meta map[string]json.RawMessage `json:"_meta"`
			}
		}
		if json.Unmarshal(forwarded, &got) != nil {
			return // a number that float64 cannot hold, or too deep
		}
		if statelessMethods[got.Method].params == nil || got.Params.Meta[metaProtocol] == nil || got.Params.Meta[metaCapabilities] == nil {
			t.Errorf("%q is forwarded as %q", text, forwarded)
		}
		for name := range got.Params.Meta {
			if name != "progressToken" && name != metaProtocol && name != metaCapabilities && name != metaClient {
				t.Errorf("%q got through in %q", name, forwarded)
			}
		}
	})
}
