package docsgpt

import "testing"

// A conversation that a message names, and tool calls that are not allowed, do not reach DocsGPT in any spelling: with
// them a key could continue other conversations, or reach the model without the prompt and the source.
func TestMessagesKeepOnlyAllowedFields(t *testing.T) {
	const round = `{"role":"user","content":"q"},` +
		`{"role":"assistant","content":null,"tool_calls":[{"id":"1"}],"docsgpt":{"conversation_id":"c"}},` +
		`{"role":"tool","tool_call_id":"1","content":"r"}`
	for name, c := range map[string]struct {
		allow      []string
		body, want string
	}{
		"what clients write stays as it is, to the byte": {
			body: `[ {"content":"\u0071", "name" : "n","role":"user"} ,{"role":"assistant","content":null}]`,
			want: `[ {"content":"\u0071", "name" : "n","role":"user"} ,{"role":"assistant","content":null}]`,
		},
		"a round of tools": {
			body: `[` + round + `]`,
			want: `[{"role":"user","content":"q"},{"role":"assistant","content":null},{"role":"tool","content":"r"}]`,
		},
		"a round of tools that the operator allows": {
			allow: []string{"tools"}, body: `[` + round + `]`,
			want: `[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[{"id":"1"}]},` +
				`{"role":"tool","tool_call_id":"1","content":"r"}]`,
		},
		"names in another spelling": {
			body: `[{"\u0072ole":"user","content":"q","docs\u0067pt":{"conversation_id":"c"}}]`, want: `[{"role":"user","content":"q"}]`,
		},
		"a conversation in the first field": {
			body: `[{"docsgpt":{"conversation_id":"c"},"role":"user","content":"q"}]`, want: `[{"role":"user","content":"q"}]`,
		},
		"nothing is left": {body: `[{"docsgpt":{}},{},{"x":[1,{"y":2}]}]`, want: `[{},{},{}]`},
		"an answer of a library, sent back": {
			body: `[{"content":"a","refusal":null,"role":"assistant","annotations":[],"function_call":null,"tool_calls":null}]`,
			want: `[{"content":"a","role":"assistant"}]`,
		},
		"parts that the operator allows": {
			allow: []string{MessageParts}, body: `[{"content":[{"type":"image_url","image_url":{"url":"data:,"}}],"docsgpt":{"conversation_id":"c"}}]`,
			want: `[{"content":[{"type":"image_url","image_url":{"url":"data:,"}}]}]`,
		},
		"text parts of SDKs, with fields of their own": {
			body: `[{"role":"user","content":[{"cache_control":{"type":"ephemeral"},"type":"text","text":"a"},` +
				`{"type":"text","text":"b","annotations":[{"url":"x"}],"id":"p1","providerOptions":{"x":{}},"logprobs":null}]}]`,
			want: `[{"role":"user","content":"a\nb"}]`,
		},
		"the same parts where parts are allowed": {
			allow: []string{MessageParts},
			body:  `[{"content":[{"id":1,"type":"text","text":"a","cache_control":{}},{"type":"image_url","image_url":"data:,","cache_control":{}}]}]`,
			want:  `[{"content":[{"type":"text","text":"a"},{"type":"image_url","image_url":"data:,"}]}]`,
		},
		"the field's own name allows nothing more": {
			allow: []string{"messages"}, body: `[{"content":"q","docsgpt":{"conversation_id":"c"}}]`, want: `[{"content":"q"}]`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := endpoint(t, "", "completions", c.allow...)
			var b Body
			if err := b.Parse(e, buffer(`{"messages":`+c.body+`,"stream":true}`)); err != nil {
				t.Fatal(err)
			}
			if err := b.Check(e); err != nil {
				t.Fatal(err)
			}
			want := `{"messages":` + c.want + `,"stream":true}`
			if got := string(b.Rewrite(e, Binding{Agent: "agent-key"}, false)); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

// Ownership is checked whatever an operator allows.
func TestAllowingAFieldKeepsItsChecks(t *testing.T) {
	e := endpoint(t, "", "stt_live_finish", "session_id")
	var b Body
	if err := b.Parse(e, buffer(`{"session_id":"s"}`)); err != nil {
		t.Fatal(err)
	}
	if err := b.Check(e); err != nil {
		t.Fatal(err)
	}
	if b.Session() != "s" {
		t.Error("a transcription is not checked if its field is allowed")
	}
}
