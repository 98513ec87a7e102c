package docsgpt

import (
	"strings"
	"testing"
)

// forwardedFields passes a body through the gate's code, and returns its forwarded fields.
func forwardedFields(t testing.TB, e *Endpoint, members string) (string, error) {
	t.Helper()
	var b Body
	if err := b.Parse(e, buffer(`{`+members+`}`)); err != nil {
		return "", err
	}
	if err := b.Check(e); err != nil {
		return "", err
	}
	got := string(b.Rewrite(e, Binding{Agent: "k"}, false))
	got = strings.TrimSuffix(strings.TrimPrefix(got, "{"), "}")
	return strings.TrimSuffix(got, `,"api_key":"k"`), nil
}

const messages = `"messages":`

// DocsGPT counts only the tokens of strings: a list of texts would reach the model at any size.
func TestTextPartsAreJoined(t *testing.T) {
	for _, allow := range [][]string{nil, {MessageParts}, {"tools"}} {
		e := endpoint(t, "", "completions", allow...)
		for name, c := range map[string]struct{ sent, want string }{
			"one":      {`[{"role":"user","content":[{"type":"text","text":"a"}]}]`, `[{"role":"user","content":"a"}]`},
			"two":      {`[{"content":[{"type":"text","text":"a\"\u00fc"},{"text":"b","type":"text"}],"role":"user"}]`, `[{"content":"a\"\u00fc\nb","role":"user"}]`},
			"none":     {`[{"role":"user","content":[]}]`, `[{"role":"user","content":""}]`},
			"empty":    {`[ {"role":"user","content":[ {"type":"text","text":""} , {"type":"text","text":""} ]}]`, `[{"role":"user","content":"\n"}]`},
			"in tools": {`[{"role":"tool","content":[{"type":"text","text":"{}"}]},{"role":"user","content":"q"}]`, `[{"role":"tool","content":"{}"},{"role":"user","content":"q"}]`},
		} {
			if got, err := forwardedFields(t, e, messages+c.sent); err != nil || got != messages+c.want {
				t.Errorf("%s, allow %v: got %s %v", name, allow, got, err)
			}
		}
	}
}

// Allowed message parts are limited to files inside the message itself, and to tool calls with only the necessary
// fields.
func TestMessagePartsAreValidated(t *testing.T) {
	const image = `{"type":"image_url","image_url":{"url":"data:image/png;base64,AA==","detail":"low"}}`
	const file = `{"type":"file","file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,AA=="}}`
	e := endpoint(t, "", "completions", MessageParts, "tools")
	user := func(part string) string { return `[{"role":"user","content":[` + part + `]}]` }
	calls := func(call string) string { return `[{"role":"assistant","content":null,"tool_calls":[` + call + `]}]` }
	for name, c := range map[string]struct{ sent, want string }{
		"an image":                {user(`{"type":"text","text":"q"},` + image), user(`{"type":"text","text":"q"},` + image)},
		"an image as its address": {user(`{"type":"image_url","image_url":"data:,"}`), user(`{"type":"image_url","image_url":"data:,"}`)},
		"an image of Responses": {
			user(`{"type":"input_image","image_url":"data:,","detail":"auto"}`), user(`{"type":"input_image","image_url":"data:,","detail":"auto"}`),
		},
		"a file":              {user(file), user(file)},
		"a file of Responses": {user(`{"type":"input_file","file_data":"AA==","filename":"a"}`), user(`{"type":"input_file","file_data":"AA==","filename":"a"}`)},
		"more beside it": {
			user(`{"type":"text","text":"q","cache_control":{}},{"type":"image_url","image_url":{"url":"data:,","x":1},"y":2}`),
			user(`{"type":"text","text":"q"},{"type":"image_url","image_url":{"url":"data:,"}}`),
		},
		"an id beside the file": {user(`{"type":"file","file":{"file_id":"f","file_data":"AA=="}}`), user(`{"type":"file","file":{"file_data":"AA=="}}`)},
		"a call": {
			calls(`{"id":"1","type":"function","function":{"name":"f","arguments":"{}","x":1},"extra":[]}`),
			calls(`{"id":"1","type":"function","function":{"name":"f","arguments":"{}"}}`),
		},
		"no calls": {`[{"role":"assistant","tool_calls":null}]`, `[{"role":"assistant","tool_calls":null}]`},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := forwardedFields(t, e, messages+c.sent); err != nil || got != messages+c.want {
				t.Errorf("got  %s %v\nwant %s", got, err, messages+c.want)
			}
		})
	}
	const part = `messages[0].content[0]`
	const call = `messages[0].tool_calls`
	for name, c := range map[string]struct{ sent, want string }{
		"an image elsewhere":         {user(`{"type":"image_url","image_url":{"url":"http://169.254.169.254/"}}`), part + `.image_url.url must begin with "data:": other URLs are not accepted`},
		"an image at https":          {user(`{"type":"image_url","image_url":"https://example.com/a.png"}`), part + `.image_url must begin with "data:": other URLs are not accepted`},
		"by an escape":               {user(`{"type":"image_url","image_url":{"url":"\u0068ttp://x"}}`), part + `.image_url.url must begin with "data:": other URLs are not accepted`},
		"an image without one":       {user(`{"type":"image_url"}`), part + `.image_url is missing`},
		"an image without address":   {user(`{"type":"image_url","image_url":{}}`), part + `.image_url.url is missing`},
		"a file by its id":           {user(`{"type":"file","file":{"file_id":"f"}}`), part + `.file.file_data is missing`},
		"a file by its address":      {user(`{"type":"input_file","file_data":"http://x"}`), part + `.file_data must begin with "data:" or be base64: URLs are not accepted`},
		"a file of Responses, by id": {user(`{"type":"input_file","file_id":"f"}`), part + `.file_data is missing`},
		"data that is a number":      {user(`{"type":"file","file":{"file_data":1}}`), part + `.file.file_data has the wrong type`},
		"another type":               {user(`{"type":"input_audio","input_audio":{}}`), part + ` has a type that is not accepted`},
		"no type":                    {user(`{"text":"q"}`), part + ` has a type that is not accepted`},
		"a file beside a text":       {user(`{"type":"text","text":"q","file":{"file_data":"AA=="}}`), part + `.file is not accepted in a part of the type "text"`},
		"a text in an image":         {user(`{"type":"image_url","image_url":"data:,","text":"q"}`), part + `.text is not accepted in a part of the type "image_url"`},
		"too many parts":             {user(image + strings.Repeat(","+image, 100)), `messages[0].content is too long: at most 100 parts are accepted`},
		"calls that are no list":     {`[{"role":"assistant","tool_calls":{}}]`, call + ` has the wrong type`},
		"a call that is a text":      {calls(`"x"`), call + `[0] has the wrong type`},
		"arguments as an object":     {calls(`{"function":{"name":"f","arguments":{}}}`), call + `[0].function.arguments has the wrong type`},
		"another kind of call":       {calls(`{"type":"custom"}`), call + `[0].type must be one of function`},
		"too many calls":             {calls(`{}` + strings.Repeat(`,{}`, 128)), call + ` is too long: at most 128 are accepted`},
		"a role of its own":          {`[{"role":"root","content":"q"}]`, `messages[0].role must be one of system, developer, user, assistant, tool, function`},
		"a role that is a list":      {`[{"role":"user"},{"role":["user"]}]`, `messages[1].role has the wrong type`},
		"a name that is an object":   {`[{"role":"user","name":{}}]`, `messages[0].name has the wrong type`},
		"an id that is a list":       {`[{"role":"tool","tool_call_id":["1"]}]`, `messages[0].tool_call_id has the wrong type`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := forwardedFields(t, e, messages+c.sent)
			if want := `the field "messages" is not valid: ` + c.want; err == nil || err.Error() != want {
				t.Errorf("got %s %v\nwant %s", got, err, want)
			}
		})
	}
}

// Python would read a part with a duplicate field as a different part.
func TestMessagesRejectDuplicateFields(t *testing.T) {
	e := endpoint(t, "", "completions", MessageParts, "tools")
	for _, sent := range []string{
		`[{"content":[{"type":"image_url","image_url":{"url":"data:,","url":"http://x"}}]}]`,
		`[{"content":[{"type":"text","text":"a","te\u0078t":"b"}]}]`,
		`[{"tool_calls":[{"function":{"name":"a","name":"b"}}]}]`,
		`[{"x":{"a":1,"a":2}}]`,
	} {
		if got, err := forwardedFields(t, e, messages+sent); err == nil || err.Error() != errDuplicate.Error() {
			t.Errorf("%s: got %s %v", sent, got, err)
		}
	}
}

func TestMessageAndTextLimits(t *testing.T) {
	small := Limits{Messages: 3, MessagesSize: 20, TextSize: 10}
	const many = `the field "messages" is too long: at most 3 messages are accepted`
	const large = `the field "messages" is too long: at most 20 bytes of text are accepted`
	const long = `is too long: at most 10 bytes are accepted`
	text := func(n int) string { return `{"content":"` + strings.Repeat("x", n) + `"}` }
	for name, c := range map[string]struct {
		endpoint, members, want string
		allow                   []string
	}{
		"as many messages as may be": {endpoint: "completions", members: messages + `[{},{},{}]`},
		"one too many":               {endpoint: "completions", members: messages + `[{},{},{},{}]`, want: many},
		"as long as they may be":     {endpoint: "completions", members: messages + `[` + text(10) + `,` + text(10) + `]`},
		"all together too long":      {endpoint: "completions", members: messages + `[` + text(10) + `,` + text(10) + `,` + text(1) + `]`, want: large},
		"one too long":               {endpoint: "completions", members: messages + `[` + text(1) + `,` + text(11) + `]`, want: `the field "messages" is not valid: messages[1].content ` + long},
		"in parts": {
			endpoint: "completions", members: messages + `[{"content":[{"type":"text","text":"123456"},{"type":"text","text":"12345"}]}]`,
			want: `the field "messages" is not valid: messages[0].content ` + long,
		},
		"beside an image": {
			endpoint: "completions", allow: []string{MessageParts},
			members: messages + `[{"content":[{"type":"text","text":"123456"},{"type":"image_url","image_url":"data:,0123456789"},{"type":"text","text":"12345"}]}]`,
			want:    `the field "messages" is not valid: messages[0].content ` + long,
		},
		"in a call": {
			endpoint: "completions", allow: []string{"tools"}, members: messages + `[{"tool_calls":[{"function":{"arguments":"x"}}]}]`,
			want: `the field "messages" is not valid: messages[0].tool_calls ` + long,
		},
		"a question":            {endpoint: "stream", members: `"question":"0123456789"`},
		"a long question":       {endpoint: "stream", members: `"question":"0123456789x"`, want: `the field "question" ` + long},
		"a long search":         {endpoint: "search", members: `"question":"0123456789x"`, want: `the field "question" ` + long},
		"a long text to speak":  {endpoint: "tts", members: `"text":"0123456789x"`, want: `the field "text" ` + long},
		"a long list of stops":  {endpoint: "completions", members: `"messages":[],"stop":["012345678"]`, want: `the field "stop" ` + long},
		"an answer's long form": {endpoint: "completions", members: `"messages":[],"response_format":{"type":"text"}`, want: `the field "response_format" ` + long},
		"what is dropped":       {endpoint: "stream", members: `"question":"q","sender":"0123456789x"`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := forwardedFields(t, limited(t, "", c.endpoint, small, c.allow...), c.members)
			if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
				t.Errorf("got %s %v\nwant %q", got, err, c.want)
			}
		})
	}
}

func TestLimitsValidate(t *testing.T) {
	for _, l := range []Limits{{HistoryEntries: -1}, {HistorySize: -1}, {Messages: -1}, {MessagesSize: -1}, {TextSize: -1}} {
		if l.Validate() == nil {
			t.Errorf("%+v is accepted", l)
		}
	}
	if err := (Limits{}).Validate(); err != nil {
		t.Error(err)
	}
	if got := (Limits{Messages: 7}).withDefaults(); got.Messages != 7 || got.TextSize != DefaultLimits.TextSize {
		t.Errorf("%+v", got)
	}
}

// The structure of a field is validated whether it is always forwarded or an operator allows it.
func TestStructuredFields(t *testing.T) {
	all := []string{
		"tools", "tool_choice", "parallel_tool_calls", "passthrough", "metadata", "logit_bias", "attachments", "json_schema",
		"response_schema", "json_schema_strict", "json_object", "user", "prompt_id", "model_id", "whatever",
	}
	e := endpoint(t, "", "completions", all...)
	const tool = `{"type":"function","function":{"name":"f","description":"d","parameters":{"a":[1.50]},"strict":true}}`
	many := func(item string, n int) string { return strings.TrimSuffix(strings.Repeat(item+",", n), ",") }
	for sent, want := range map[string]string{ // "": the same
		`"stop":["a","b"]`: "", `"stop":"a"`: "", `"stop":null`: "",
		`"stop":[1]`: `stop[0] has the wrong type`, `"stop":["a",["b"]]`: `stop[1] has the wrong type`,
		`"stop":[` + many(`"a"`, 17) + `]`:                                   `stop is too long: at most 16 are accepted`,
		`"stream_options":{ "include_usage" : true}`:                         "",
		`"stream_options":{"include_usage":true,"x":{"y":1}}`:                `"stream_options":{"include_usage":true}`,
		`"stream_options":{"include_usage":"yes"}`:                           `stream_options.include_usage has the wrong type`,
		`"response_format":{"type":"json_schema","json_schema":{"a":[1.0]}}`: "",
		`"response_format":{"type":"text","x":1}`:                            `"response_format":{"type":"text"}`,
		`"response_format":{"type":"grammar"}`:                               `response_format.type must be one of text, json_object, json_schema`,
		`"response_format":{}`:                                               `response_format.type is missing`,
		`"response_format":{"type":"json_schema","json_schema":[]}`:          `response_format.json_schema has the wrong type`,
		`"tools":[` + tool + `]`:                                             "",
		`"tools":[{"type":"web_search"}]`:                                    `tools[0].type must be one of function`,
		`"tools":[{"type":"function","function":{"name":"f"},"x":1}]`:        `"tools":[{"type":"function","function":{"name":"f"}}]`,
		`"tools":[{"type":"function"}]`:                                      `tools[0].function is missing`,
		`"tools":[` + tool + `,{"type":"function","function":{"name":1}}]`:   `tools[1].function.name has the wrong type`,
		`"tools":[` + many(tool, 129) + `]`:                                  `tools is too long: at most 128 are accepted`,
		`"tool_choice":"auto"`:                                               "",
		`"tool_choice":"all"`:                                                `tool_choice must be one of none, auto, required`,
		`"tool_choice":{"type":"function","function":{"name":"f"}}`:          "",
		`"tool_choice":{"type":"function"}`:                                  `tool_choice.function is missing`,
		`"parallel_tool_calls":true`:                                         "",
		`"parallel_tool_calls":1`:                                            `parallel_tool_calls has the wrong type`,
		`"passthrough":{"a":1e2,"b":"c","d":null,"e":true}`:                  "",
		`"passthrough":{"a":[]}`:                                             `passthrough["a"] has the wrong type`,
		`"passthrough":[]`:                                                   `passthrough has the wrong type`,
		`"metadata":{"a":"b"}`:                                               "",
		`"metadata":{"a":1}`:                                                 `metadata["a"] has the wrong type`,
		`"logit_bias":{"50256":-100}`:                                        "",
		`"logit_bias":{"50256":"x"}`:                                         `logit_bias["50256"] has the wrong type`,
		`"attachments":["a"]`:                                                "",
		`"attachments":[{"$ne":null}]`:                                       `attachments[0] has the wrong type`,
		`"attachments":[` + many(`"a"`, 101) + `]`:                           `attachments is too long: at most 100 are accepted`,
		`"json_schema":{"a":{"b":[]}}`:                                       "",
		`"json_schema":"x"`:                                                  `json_schema has the wrong type`,
		`"user":"me"`:                                                        "",
		`"user":["me"]`:                                                      `user has the wrong type`,
		`"whatever":[{"a":[1.0,null]}]`:                                      "",
	} {
		got, err := forwardedFields(t, e, `"messages":[],`+sent)
		got = strings.TrimPrefix(got, `"messages":[],`)
		switch {
		case want == "" && (err != nil || got != sent):
			t.Errorf("%s is forwarded as %s, %v", sent, got, err)
		case want != "" && want[0] == '"' && (err != nil || got != want):
			t.Errorf("%s is forwarded as %s, %v; want %s", sent, got, err, want)
		case want != "" && want[0] != '"' && (err == nil || !strings.HasSuffix(err.Error(), "is not valid: "+want)):
			t.Errorf("%s is forwarded as %s, %v; want %s", sent, got, err, want)
		}
	}
	for _, sent := range []string{
		`"whatever":{"a":1,"a":2}`, `"whatever":[{"x":{"a":1,"\u0061":2}}]`, `"json_schema":{"a":{"b":1,"b":2}}`,
		`"stream_options":{"x":{"a":1,"a":2}}`, `"tools":[{"type":"function","function":{"name":"f","parameters":{"a":1,"a":1}}}]`,
	} {
		if got, err := forwardedFields(t, e, `"messages":[],`+sent); err == nil || err.Error() != errDuplicate.Error() {
			t.Errorf("%s is forwarded as %s, %v", sent, got, err)
		}
	}
}

func BenchmarkMessages(b *testing.B) {
	e := endpoint(b, "", "completions")
	answer := strings.Repeat(`The device can be \"reset\" by holding the button.\n`, 20)
	const user = `{"role":"user","content":"How do I reset the device?"},`
	for _, c := range []struct{ name, turn string }{
		{"32KB", user + `{"role":"assistant","content":"` + answer + `"}`},
		{"32KB of parts", user + `{"role":"assistant","content":[{"type":"text","text":"` + answer + `"}],"refusal":null}`},
	} {
		body := []byte(`{"model":"m",` + messages + `[` + strings.TrimSuffix(strings.Repeat(c.turn+",", 32<<10/len(c.turn)), ",") + `]}`)
		b.Run(c.name, func(b *testing.B) {
			buf := make([]byte, 0, len(body)+RewriteHeadroom)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				var parsed Body
				if err := parsed.Parse(e, append(buf[:0], body...)); err != nil {
					b.Fatal(err)
				}
				if err := parsed.Check(e); err != nil {
					b.Fatal(err)
				}
				parsed.Rewrite(e, Binding{}, false)
			}
		})
	}
}
