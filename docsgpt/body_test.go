package docsgpt

import (
	"strings"
	"testing"
)

func endpoint(t testing.TB, version, name string, allow ...string) *Endpoint {
	t.Helper()
	v, err := FindVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range Groups() { // each separately, since other enabled groups may change it
		if _, err := NewRoutes(v, []Group{g}, nil); err != nil {
			continue // the version has none of these
		}
		routes, err := NewRoutes(v, []Group{g}, allow)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range routes.Endpoints() {
			if e.Name == name {
				return e
			}
		}
	}
	t.Fatalf("DocsGPT %s has no endpoint %q", version, name)
	return nil
}

// buffer copies a text into a buffer with headroom, as the gate reads a body.
func buffer(text string) []byte {
	return append(make([]byte, 0, len(text)+RewriteHeadroom), text...)
}

func TestParseRejectsAmbiguousJSON(t *testing.T) {
	stream := endpoint(t, "", "stream")
	nested := strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1)
	many := "{"
	for i := range maxFields + 1 {
		many += `"m` + strings.Repeat("x", i) + `":1,`
	}
	many = strings.TrimSuffix(many, ",") + "}"
	for name, c := range map[string]struct {
		body string
		want error
	}{
		"empty":                     {"", errNotObject},
		"white space":               {" \n", errNotObject},
		"null":                      {"null", errNotObject},
		"array":                     {`[{"question":"q"}]`, errNotObject},
		"string":                    {`"q"`, errNotObject},
		"two byte order marks":      {"\ufeff\ufeff{}", errNotObject},
		"only a byte order mark":    {"\ufeff", errNotObject},
		"UTF-16":                    {"\xff\xfe{\x00}\x00", errNotObject},
		"UTF-16 without a mark":     {"{\x00\"\x00", errSyntax},
		"second value":              {`{"question":"q"}{"api_key":"other"}`, errTrailing},
		"trailing text":             {`{"question":"q"} x`, errTrailing},
		"trailing NUL":              {"{}\x00", errTrailing},
		"trailing comma":            {`{"question":"q",}`, errSyntax},
		"unfinished":                {`{"question":"q"`, errSyntax},
		"comment":                   {`{/**/"question":"q"}`, errSyntax},
		"NaN":                       {`{"question":NaN}`, errSyntax},
		"control character":         {"{\"question\":\"a\nb\"}", errSyntax},
		"invalid UTF-8":             {"{\"question\":\"\xff\"}", errSyntax},
		"overlong UTF-8":            {"{\"question\":\"\xc0\xaf\"}", errSyntax},
		"lone surrogate":            {`{"question":"\ud800"}`, errSurrogate},
		"low surrogate, nested":     {`{"x":[{"y":"a\udc00b"}]}`, errSurrogate},
		"lone surrogate as 3 bytes": {"{\"question\":\"\xed\xa0\x80\"}", errSyntax},
		"number with a plus":        {`{"x":+1}`, errSyntax},
		"name that is no string":    {`{1:2}`, errSyntax},
		"duplicate field":           {`{"question":"a","question":"b"}`, errDuplicate},
		"duplicate by an escape":    {`{"api_key":"a","api\u005fkey":"b"}`, errDuplicate},
		"duplicate dropped field":   {`{"x":1,"x":2}`, errDuplicate},
		"too many fields":           {many, errTooMany},
		"too deep":                  {`{"history":` + nested + `}`, errTooDeep},
		"too long a number":         {`{"history":[` + strings.Repeat("1", maxDigits+1) + `]}`, errLongNumber},
	} {
		t.Run(name, func(t *testing.T) {
			var b Body
			if err := b.Parse(stream, buffer(c.body)); err != c.want { //nolint:errorlint // the error itself, not wrapped
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestTokenRequiresNonEmptyString(t *testing.T) {
	stream := endpoint(t, "", "stream")
	for body, want := range map[string]string{
		`{"api_key":"abc"}`:               "abc",
		`{"api\u005fkey":"a\u0062c"}`:     "abc",
		`{"a":[1,{"b":2}],"api_key":"k"}`: "k",
		`{"api_key":null}`:                "",
		`{"api_key":["abc"]}`:             "",
		`{"api_key":{"$ne":null}}`:        "",
		`{"api_key":0}`:                   "",
		`{"api_key":true}`:                "",
		`{"api_key":""}`:                  "",
		`{"API_KEY":"abc"}`:               "",
		`{"Api_Key":"abc"}`:               "",
		`{" api_key":"abc"}`:              "",
		`{"docsgpt":{"api_key":"abc"}}`:   "",
		`{}`:                              "",
	} {
		t.Run(body, func(t *testing.T) {
			var b Body
			if err := b.Parse(stream, buffer(body)); err != nil {
				t.Fatal(err)
			}
			if got, _ := b.Token(); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

const source = "7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10"

func TestRewrite(t *testing.T) {
	agent := Binding{Agent: "agent-key"}
	one := Binding{Sources: []string{source}}
	two := Binding{Sources: []string{source, "b"}}
	for name, c := range map[string]struct {
		version, endpoint string
		in                Binding
		body, want        string
		owned             bool
		allow             []string
	}{
		"the widget's question": {
			endpoint: "stream", in: agent,
			body: `{"question":"hi","history":"[{\"prompt\":\"hi\"}]","conversation_id":null,"model":"default","api_key":"T"}`,
			want: `{"question":"hi","history":"[]","conversation_id":null,"api_key":"agent-key"}`,
		},
		"the token comes first": {
			endpoint: "stream", in: agent,
			body: `{"api_key":"T","question":"hi"}`, want: `{"question":"hi","api_key":"agent-key"}`,
		},
		"an empty history is none": {
			endpoint: "stream", in: agent,
			body: `{"question":"q","history":"","api_key":"T"}`, want: `{"question":"q","api_key":"agent-key"}`,
		},
		"a history that is an empty list is none": {
			endpoint: "answer", in: agent,
			body: `{"question":"q","history":[ ],"api_key":"T"}`, want: `{"question":"q","api_key":"agent-key"}`,
		},
		"a null history is none, and the version's own takes its place": {
			version: "0.14", endpoint: "answer", in: agent,
			body: `{"question":"q","history":null,"api_key":"T"}`, want: `{"question":"q","history":"[]","api_key":"agent-key"}`,
		},
		"an empty conversation is none": {
			endpoint: "stream", in: agent,
			body: `{"question":"q","conversation_id":"","api_key":"T"}`, want: `{"question":"q","api_key":"agent-key"}`,
		},
		"white space and escaped names": {
			version: "0.12", endpoint: "answer", in: agent,
			body: " {\n\t\"qu\\u0065stion\" : \"a b\" ,\r\n \"api_key\":\"T\" , \"history\" : [ { \"response\" : \"\\u0062\" , \"prompt\":\"a\" } , {} ] } ",
			want: `{"question":"a b","history":[{"prompt":"a","response":"\u0062"}],"api_key":"agent-key"}`,
		},
		"a source": {
			endpoint: "stream", in: one,
			body: `{"question":"q","api_key":"T","active_docs":"other","selectDocs":"other"}`,
			want: `{"question":"q","active_docs":"` + source + `"}`,
		},
		"several sources": {
			endpoint: "stream", in: two,
			body: `{"question":"q","api_key":"T"}`, want: `{"question":"q","active_docs":["` + source + `","b"]}`,
		},
		"everything that widens is dropped": {
			endpoint: "stream", in: agent,
			body: `{"question":"q","api_key":"T","llm_params":{"model":"x"},"client_tools":[],"multimodal_content":[],` +
				`"agent_id":"a","workflow":{},"workflow_id":"w","retriever":"brave_search","chunks":0,"prompt_id":"p",` +
				`"isNoneDoc":true,"model_id":"m","index":0,"tool_actions":[],"attachments":["a"],"json_schema":{},` +
				`"system_prompt_override":"s","passthrough":{},"visibility":"listed","persist":false,"embeddings_key":"T",` +
				`"save_conversation":false,"request_id":"r","selectedDocs":null,"token_limit":1}`,
			want: `{"question":"q","api_key":"agent-key"}`,
		},
		"an operator's field": {
			endpoint: "stream", in: agent, allow: []string{"passthrough"},
			body: `{"passthrough":{"a":1e2},"question":"q","api_key":"T"}`,
			want: `{"passthrough":{"a":1e2},"question":"q","api_key":"agent-key"}`,
		},
		"a foreign conversation is dropped": {
			endpoint: "stream", in: agent,
			body: `{"question":"q","conversation_id":"c","api_key":"T"}`, want: `{"question":"q","api_key":"agent-key"}`,
		},
		"an own conversation stays": {
			endpoint: "stream", in: agent, owned: true,
			body: `{"question":"q","conversation_id":"c","api_key":"T"}`,
			want: `{"question":"q","conversation_id":"c","api_key":"agent-key"}`,
		},
		"search": {
			endpoint: "search", in: agent,
			body: `{"question":"q","api_key":"T","chunks":0}`, want: `{"question":"q","api_key":"agent-key"}`,
		},
		"feedback": {
			endpoint: "feedback", in: agent, owned: true,
			body: `{"question":"q","answer":"a","feedback":"LIKE","api_key":"T","conversation_id":"c","question_index":0}`,
			want: `{"question":"q","answer":"a","feedback":"LIKE","conversation_id":"c","question_index":0,"api_key":"agent-key"}`,
		},
		"completions keep their own fields": {
			endpoint: "completions", in: agent,
			body: `{"model":"m","messages":[{"role":"user","content":"q"}],"stream":true,"temperature":0.70,"tools":[],` +
				`"docsgpt":{"conversation_id":"c"},"conversation_id":"c","api_key":"T","active_docs":"other","logprobs":true}`,
			want: `{"model":"m","messages":[{"role":"user","content":"q"}],"stream":true,"temperature":0.70}`,
		},
		"an old version gets the history that it needs": {
			version: "0.13", endpoint: "answer", in: agent,
			body: `{"question":"q","api_key":"T"}`, want: `{"question":"q","history":"[]","api_key":"agent-key"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := endpoint(t, c.version, c.endpoint, c.allow...)
			var b Body
			if err := b.Parse(e, buffer(c.body)); err != nil {
				t.Fatal(err)
			}
			if err := b.Check(e); err != nil {
				t.Fatal(err)
			}
			if got := string(b.Rewrite(e, c.in, c.owned)); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestCheckErrors(t *testing.T) {
	for name, c := range map[string]struct{ endpoint, body, want string }{
		"no question":          {"stream", `{"api_key":"T"}`, `the field "question" is missing`},
		"question is a list":   {"stream", `{"question":["q"]}`, `the field "question" has the wrong type: it must be a string`},
		"history as an array":  {"answer", `{"question":"q","history":[1]}`, `the field "history" has the wrong type: it must be a string`},
		"a text that is none":  {"completions", `{"messages":[{"content":[{"type":"text","text":{}}]}]}`, errMessageParts.Error()},
		"question is null":     {"answer", `{"question":null}`, `the field "question" has the wrong type: it must be a string`},
		"conversation object":  {"stream", `{"question":"q","conversation_id":{}}`, `the field "conversation_id" has the wrong type: it must be a string`},
		"rating":               {"feedback", `{"feedback":"EVIL","conversation_id":"c","question_index":0}`, `the field "feedback" must be "LIKE", "DISLIKE" or null`},
		"negative index":       {"feedback", `{"feedback":"LIKE","conversation_id":"c","question_index":-1}`, `the field "question_index" must be a non-negative integer`},
		"broken index":         {"feedback", `{"feedback":"LIKE","conversation_id":"c","question_index":0.5}`, `the field "question_index" must be a non-negative integer`},
		"old widget's rating":  {"feedback", `{"question":"q","answer":"a","feedback":"LIKE"}`, `the field "conversation_id" is missing: ` + feedbackIndexMessage},
		"messages are missing": {"completions", `{}`, `the field "messages" is missing`},
		"a message is text":    {"completions", `{"messages":["q"]}`, "each of the messages must be an object"},
		"an image":             {"completions", `{"messages":[{"content":[{"type":"image_url","image_url":{"url":"x"}}]}]}`, errMessageParts.Error()},
		"an image beside text": {"completions", `{"messages":[{"content":[{"type":"text","text":"q","image_url":{}}]}]}`, errMessageParts.Error()},
		"content twice":        {"completions", `{"messages":[{"content":"q","content":[{"type":"file"}]}]}`, errDuplicate.Error()},
		"a number as a string": {"completions", `{"messages":[],"temperature":"0.7"}`, `the field "temperature" has the wrong type: it must be a number`},
		"a boolean as string":  {"completions", `{"messages":[],"stream":"false"}`, `the field "stream" has the wrong type: it must be a boolean`},
		"an index as a string": {"feedback", `{"feedback":"LIKE","conversation_id":"c","question_index":"0"}`, `the field "question_index" has the wrong type: it must be a number`},
		"stop is a number":     {"completions", `{"messages":[],"stop":1}`, `the field "stop" has the wrong type: it must be a string or a list`},
		"content is an object": {"completions", `{"messages":[{"content":{}}]}`, errMessageParts.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			e := endpoint(t, "", c.endpoint)
			var b Body
			if err := b.Parse(e, buffer(c.body)); err != nil {
				t.Fatal(err)
			}
			if err := b.Check(e); err == nil || err.Error() != c.want {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// Some programs write a byte order mark before JSON in UTF-8. DocsGPT skips it; it is not forwarded.
func TestByteOrderMarkIsSkipped(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"stream":      {`{"question":"q","api_key":"T"}`, `{"question":"q","api_key":"agent-key"}`},
		"completions": {`{"messages":[{"role":"user","content":[{"type":"text","text":"q"}]}]}`, `{"messages":[{"role":"user","content":"q"}]}`},
		"mcp":         {`{"jsonrpc":"2.0","id":1,"method":"ping"}`, `{"jsonrpc":"2.0","id":1,"method":"ping"}`},
	} {
		e := endpoint(t, "", name)
		var b Body
		if err := b.Parse(e, buffer("\ufeff"+c.body)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if token, _ := b.Token(); name == "stream" && token != "T" {
			t.Errorf("%s: the token is %q", name, token)
		}
		if err := b.Check(e); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if got := string(b.Rewrite(e, Binding{Agent: "agent-key"}, false)); got != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}
}

func TestTextPartsAreForwarded(t *testing.T) {
	e := endpoint(t, "", "completions")
	for _, body := range []string{
		`{"messages":[]}`,
		`{"messages":[{"role":"user","content":[{"type":"text","text":"q"}]},{"role":"assistant","content":null}]}`,
		`{"messages":[{"role":"tool","tool_call_id":"x","content":"{\"a\":[1]}"}]}`,
	} {
		var b Body
		if err := b.Parse(e, buffer(body)); err != nil {
			t.Fatal(err)
		}
		if err := b.Check(e); err != nil {
			t.Errorf("%s: %v", body, err)
		}
	}
}
