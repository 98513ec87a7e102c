package differential

import (
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// seeds are bodies that clients send, and bodies that JSON parsers are known to read differently.
var seeds = []string{
	// What clients send.
	`{"question":"hi","history":"[]","conversation_id":null,"api_key":"token"}`,
	`{"text":"say it","voice":"x","api_key":"token"}`,
	`{"session_id":"7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10","api_key":"token"}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search_docs","arguments":{"query":"q","chunks":2}}}`,
	`{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}`,
	`{"question":"How?","api_key":"token","embeddings_key":"token","model":"default","history":null,` +
		`"active_docs":"other","conversation_id":"7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10"}`,
	`{"question":"q","answer":"a","feedback":"LIKE","api_key":"token","conversation_id":"c","question_index":0}`,
	`{"question":"q","answer":"a","feedback":null}`,
	`{"question":"q","api_key":"token","chunks":0}`,
	`{"sender":"7","question":"q","api_key":"t","embeddings_key":"t","history":""}`,
	`{"question":"q","history":[{"prompt":"p","response":"r"}],"api_key":"t"}`,
	`{"model":"docsgpt","messages":[{"role":"system","content":"s"},{"role":"user","content":"q"}],"stream":true,` +
		`"stream_options":{"include_usage":true},"temperature":0.70,"top_p":1,"max_tokens":12,"stop":["a","b"],"n":1}`,
	`{"messages":[{"role":"user","content":[{"type":"text","text":"q"},{"text":"r","type":"text"}]}]}`,
	`{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:"}}]}]}`,
	`{"messages":[{"role":"user","content":"q","content":[{"type":"file"}]}]}`,
	`{"messages":[{"role":"user","con\u0074ent":[{"type":"file"}],"content":"q"}]}`,
	`{"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"1","function":{"arguments":"{}"}}]}]}`,

	`{"messages":[{"role":"user","content":"q"},{"role":"assistant","tool_calls":[{"id":"1"}],"docsgpt":{"conversation_id":"c"}},` +
		`{"role":"tool","tool_call_id":"1","content":"{}"}],"stream":false}`,
	`{"messages":[ {"docs\u0067pt":{"a":1.50} , "n\u0061me":"x","content":"q"} , {"x":[]} ,{}]}`,
	`{"messages":[{"docsgpt":1,"docsgpt":2,"content":"q"}]}`,

	// Histories.
	`{"question":"q","history":"[{\"prompt\":\"p\",\"response\":\"r\",\"sources\":[{\"a\":1}],\"feedback\":\"LIKE\"},{\"prompt\":\"q\"}]"}`,
	`{"question":"q","history":" [ {\"response\":\"\\u00fc\\n\\\\\\\"\\/\" ,\"pr\\u006fmpt\":\"\u00fc\ud83d\ude00\"} ]\n"}`,
	`{"question":"q","history":"[{\"prompt\":[{\"type\":\"image_url\"}],\"response\":\"r\"}]"}`,
	`{"question":"q","history":"[{\"prompt\":\"p\",\"prompt\":\"q\",\"response\":\"r\"}]"}`,
	`{"question":"q","history":"[{\"tool_calls\":[{}]},{},{\"prompt\":\"p\",\"response\":\"r\",\"thought\":\"t\"}]"}`,
	`{"question":"q","history":"[{\"prompt\":\"p\",\"response\":\"r\"}][]"}`,
	`{"question":"q","history":"[{\"prompt\":\"\\ud800\",\"response\":\"r\"}]"}`,
	`{"question":"q","history":"[{\"prompt\":\"p\",\"response\":\"r\",\"x\":NaN}]"}`,
	`{"question":"q","history":"\ufeff[]"}`,
	`{"question":"q","history":"[]\u0000"}`,
	`{"question":"q","history":"null"}`,
	`{"question":"q","history":"{}"}`,
	`{"question":"q","history":"{\"a\":1}"}`,
	`{"question":"q","history":"` + strings.Repeat("[", 20000) + `"}`,

	// Everything that widens.
	`{"question":"q","api_key":"t","llm_params":{"extra_headers":{}},"client_tools":[],"multimodal_content":[],` +
		`"agent_id":"a","workflow":{},"retriever":"brave_search","chunks":1e9,"isNoneDoc":true,"index":0}`,
	`{"docsgpt":{"api_key":"t"},"question":"q","active_docs":["a"],"selectedDocs":null,"source":"b"}`,

	// The token in every form.
	`{"question":"q"}`,
	`{"question":"q","api_key":""}`,
	`{"question":"q","api_key":null}`,
	`{"question":"q","api_key":["t"]}`,
	`{"question":"q","api_key":{"$ne":null}}`,
	`{"question":"q","api_key":0}`,
	`{"question":"q","api_key":"\u0074\ud83d\udd11\n\/"}`,
	`{"question":"q","api\u005fkey":"t"}`,
	`{"question":"q","API_KEY":"t","Api_Key":"u"," api_key":"v","api_key\u0000":"w"}`,
	`{"question":"q","apı_key":"t","ａpi_key":"u","api_ke\u0443":"v"}`,

	// Duplicates.
	`{"question":"q","api_key":"a","api_key":"b"}`,
	`{"question":"q","api_key":"a","api\u005Fkey":"b"}`,
	`{"active_docs":"a","question":"q","\u0061ctive_docs":"b"}`,
	`{"question":"q","question":"r"}`,
	`{"question":"q","history":[{"a":1,"a":2}]}`,
	`{"\ud83d\ude00":1,"😀":2,"question":"q"}`,

	// Numbers.
	`{"question":"q","history":[0,-0,-0.0,0.1,1E400,-1e-400,1.0000000000000000000001,123456789012345678901234567890]}`,
	`{"messages":[],"temperature":1.10000000000000000000000000001,"seed":9007199254740993,"n":1e0}`,
	`{"question":"q","history":[NaN,Infinity,-Infinity]}`,
	`{"question":"q","x":` + strings.Repeat("9", 5000) + `}`,
	`{"question":"q","history":[` + strings.Repeat("9", 400) + `]}`,
	`{"question":"q","history":[` + strings.Repeat("9", 5000) + `]}`,
	`{"question":"q","history":[+1,01,1.,.5,0x1,1_0]}`,
	`{"feedback":"LIKE","conversation_id":"c","question_index":-0}`,
	`{"feedback":"LIKE","conversation_id":"c","question_index":1e1}`,

	// Text.
	`{"question":"\u0000"}`,
	`{"question":"\ud800"}`,
	`{"question":"\udc00\ud800"}`,
	`{"question":"\ud83d\ude00 \uD83D\uDE00"}`,
	"{\"question\":\"\u2028\u2029\ufeff\ufffd\u007f\"}",
	"{\"question\":\"\xed\xa0\x80\"}",
	"{\"question\":\"\xff\"}",
	"{\"question\":\"\xc0\xaf\"}",
	"{\"question\":\"\xf4\x90\x80\x80\"}",
	"{\"question\":\"a\nb\"}",
	"{\"question\":\"a\x00b\"}",
	`{"question":"\x41"}`,
	`{"question":"\\\"\/\b\f\n\r\t"}`,
	`{"question":"\\","api_key":"\\\\"}`,
	`{'question':'q'}`,

	// Shape.
	"\ufeff{\"question\":\"q\"}",
	"\xff\xfe{\x00}\x00",
	"\x00{\x00}",
	"{\x00\"\x00q\x00\"\x00:\x001\x00}\x00",
	"{\x00\x00\x00}\x00\x00\x00",
	" \t\r\n{ \"question\" \t:\r\n\"q\" , \"api_key\":\"t\" } \n",
	"{\u00a0\"question\":\"q\"}",
	"{\f\"question\":\"q\"}",
	"{\"question\":\"q\"}\x00",
	`{"question":"q"}{"api_key":"t"}`,
	`{"question":"q"},`,
	`{"question":"q",}`,
	`{"question":"q"/**/}`,
	`{"question":"q"`,
	`{,"question":"q"}`,
	`[{"question":"q"}]`,
	`"question"`,
	`null`,
	`{}`,
	``,
	`{"":"","question":"q"}`,
	`{"question":"q","history":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`,
	`{"question":"q","history":` + strings.Repeat("[", 65) + strings.Repeat("]", 65) + `}`,
	`{"question":"q","history":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`,
	`{"question":"q","x":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `}`,
	`{"question":"q","x":` + strings.Repeat(`{"a":`, 2000) + `1` + strings.Repeat("}", 2000) + `}`,
}

func FuzzDifferential(f *testing.F) {
	for _, seed := range seeds {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, client []byte) { check(t, client) })
}

// FuzzHistory fuzzes the contents of a history, as JSON text and as a list.
func FuzzHistory(f *testing.F) {
	for _, seed := range []string{
		`[]`, `null`, `{}`, `[{}]`, `[{"prompt":"p","response":"r"}]`, ` [ { "response" : "\u00fc" , "prompt" : "\"\\\/" } ] `,
		`[{"prompt":"p","response":"r","sources":[{"a":[1,2.50]}],"tool_calls":[{"x":1}]},{"prompt":"q"},{"response":null}]`,
		`[{"prompt":"p","response":["r"]}]`, `["a"]`, `[{"prompt":"p","prompt":"p","response":"r"}]`, `[NaN]`, "\ufeff[]", `[]x`,
		`[{"prompt":"\ud83d\ude00\ud83d","response":"\udc00"}]`, "[{\"prompt\":\"\x00\",\"response\":\"\xff\"}]", `[{"prompt":"p","response":"r"},]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		text, err := jsontext.AppendQuote(nil, content)
		if err != nil {
			text = append(append([]byte{'"'}, content...), '"') // no UTF-8
		}
		check(t, []byte(`{"question":"q","history":`+string(text)+`}`))
		check(t, []byte(`{"question":"q","history":`+string(content)+`}`))
	})
}

// The seeds are useful only if they reach every setup, and if some of them are rejected everywhere.
func TestSeedsCoverEverySetup(t *testing.T) {
	counts, rejected := map[string]int{}, 0
	for _, seed := range seeds {
		through := check(t, []byte(seed))
		for _, name := range through {
			counts[name]++
		}
		if len(through) == 0 {
			rejected++
		}
	}
	for _, s := range setups {
		if counts[s.name] == 0 {
			t.Errorf("no seed gets through %s", s.name)
		}
	}
	if rejected < len(seeds)/4 {
		t.Errorf("%d of %d seeds are rejected everywhere", rejected, len(seeds))
	}
}

// A test of the test: each check must detect its fault.
func TestPropertyChecksDetectFaults(t *testing.T) {
	r := python(t)
	client := `{"question":"q","history":[{"prompt":"p","response":"r"}],"conversation_id":"c","api_key":"t","n":1.0}`
	const agent = `"api_key":"5d0c\"\\/<ü\u2028🔑\u007f"`
	const source = `"active_docs":"7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10"`
	for name, c := range map[string]struct{ setup, forwarded, fault string }{
		"nothing wrong, agent": {"1.1 stream, agent, owned false", `{"question":"q","history":[{"prompt":"p","response":"r"}],` + agent + `}`, ""},
		"nothing wrong, source": {
			"1.1 stream, 1 sources, owned true", `{"question":"q","history":[{"prompt":"p","response":"r"}],"conversation_id":"c",` + source + `}`, "",
		},
		"an answer changed": {
			"1.1 stream, agent, owned false", `{"question":"q","history":[{"prompt":"p","response":"s"}],` + agent + `}`, "the history is",
		},
		"a number changed":     {"1.1 completions, agent, owned false", `{"messages":[],"n":1}`, `field "n" is`},
		"a pair is lost":       {"1.1 stream, agent, owned false", `{"question":"q","history":[],` + agent + `}`, "the history is"},
		"a pair too many":      {"1.1 stream, agent, owned false", `{"question":"q","history":[{"prompt":"p","response":"r"},{"prompt":"p","response":"r"}],` + agent + `}`, "the history is"},
		"something in a pair":  {"1.1 stream, agent, owned false", `{"question":"q","history":[{"x":1,"prompt":"p","response":"r"}],` + agent + `}`, "more than pairs"},
		"another kind":         {"1.1 stream, agent, owned false", `{"question":"q","history":"[{\"prompt\":\"p\",\"response\":\"r\"}]",` + agent + `}`, "the history is"},
		"a field is lost":      {"1.1 stream, agent, owned false", `{"question":"q",` + agent + `}`, "is lost"},
		"the client's key":     {"1.1 stream, agent, owned false", `{"question":"q","history":[{"prompt":"p","response":"r"}],"api_key":"t"}`, "not the agent's"},
		"no key":               {"1.1 stream, agent, owned false", `{"question":"q","history":[{"prompt":"p","response":"r"}]}`, "not the agent's"},
		"a key beside sources": {"1.1 stream, 1 sources, owned false", `{"question":"q","history":[{"prompt":"p","response":"r"}],"api_key":"t",` + source + `}`, "there is an api_key"},
		"sources beside a key": {"1.1 stream, agent, owned false", `{"question":"q","history":[{"prompt":"p","response":"r"}],` + source + `,` + agent + `}`, "there are active_docs"},
		"another source":       {"1.1 stream, 1 sources, owned false", `{"question":"q","history":[{"prompt":"p","response":"r"}],"active_docs":"x"}`, "not the source"},
		"one of two sources":   {"1.1 stream, 2 sources, owned false", `{"question":"q","history":[{"prompt":"p","response":"r"}],` + source + `}`, "not the sources"},
		"a foreign conversation": {
			"1.1 stream, agent, owned false", `{"question":"q","history":[{"prompt":"p","response":"r"}],"conversation_id":"c",` + agent + `}`, "foreign conversation",
		},
		"a field too many": {"1.1 stream, agent, owned false", `{"question":"q","history":[{"prompt":"p","response":"r"}],"index":0,` + agent + `}`, "should not be there"},
		"a field twice":    {"1.1 stream, agent, owned false", `{"question":"q","question":"q","history":[{"prompt":"p","response":"r"}],` + agent + `}`, "is specified twice"},
		"no JSON":          {"1.1 stream, agent, owned false", `{"question":"q"`, "cannot read it"},
	} {
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(setups, func(s setup) bool { return s.name == c.setup })
			if i < 0 {
				t.Fatalf("there is no setup %q", c.setup)
			}
			original, forwarded := r.body(t, []byte(client)), r.body(t, []byte(c.forwarded))
			got := strings.Join(faults(setups[i], &original, &forwarded), "; ")
			if c.fault == "" && got != "" || !strings.Contains(got, c.fault) {
				t.Errorf("found %q, want %q", got, c.fault)
			}
		})
	}
}
