package docsgpt

import (
	"bytes"
	"strings"
	"testing"
)

// dotted rewrites the ID x to "x.signed", and no other ID.
type dotted struct{}

func (dotted) AppendConversationID(dst []byte, id string) ([]byte, bool) {
	if id != "x" {
		return dst, false
	}
	return append(append(dst, id...), ".signed"...), true
}

func TestFilterRewritesConversation(t *testing.T) {
	const (
		begin  = `{"type": "message_id", "message_id": "m", "conversation_id": "x", "request_id": "x"}`
		answer = `{"type": "answer", "answer": "x \"id\" {\"type\": \"id\", \"id\": \"x\"}"}`
		id     = `{"type": "id", "id": "x"}`
		end    = `{"type": "end"}`
		fault  = `{"type":"error","error":"no"}`
	)
	signedBegin := strings.Replace(begin, `"conversation_id": "x"`, `"conversation_id": "x.signed"`, 1)
	signed := `{"type": "id", "id": "x.signed"}`
	for name, tc := range map[string]struct {
		reject    bool
		in, want  []string
		interrupt string
	}{
		"a whole stream": {false, []string{begin, answer, id, end}, []string{signedBegin, answer, signed, end}, ""},
		"the ID waits for the end": {
			true, []string{begin, answer, id, answer, end}, []string{begin, answer, answer, signed, end}, "",
		},
		"the ID waits for an error": {true, []string{begin, id, fault}, []string{begin, signed, fault}, ""},
		"an error after some text":  {true, []string{answer, id, fault}, []string{answer, signed, `{"cut":1}`, fault}, `{"cut":1}`},
		"no end":                    {true, []string{begin, answer, id}, []string{begin, answer}, ""},
		"the last of several": {
			true, []string{id, `{"type":"id","id":"y"}`, end}, []string{`{"type":"id","id":"y"}`, end}, "",
		},
		"no conversation":          {false, []string{`{"type": "id", "id": "None"}`, end}, []string{`{"type": "id", "id": "None"}`, end}, ""},
		"no conversation, delayed": {true, []string{`{"type": "id", "id": "None"}`, end}, []string{`{"type": "id", "id": "None"}`, end}, ""},
		"an ID that is not signed": {false, []string{`{"id":"a\"b","type":"id"}`}, []string{`{"id":"a\"b","type":"id"}`}, ""},
		"a number":                 {false, []string{`{"type":"id","id":7}`}, []string{`{"type":"id","id":7}`}, ""},
		"another order, escapes":   {false, []string{`{"id":"\u0078","n":1,"type":"id"}`}, []string{`{"id":"x.signed","n":1,"type":"id"}`}, ""},
		"an id without a type":     {false, []string{`{"id":"x"}`}, []string{`{"id":"x"}`}, ""},
	} {
		for _, chunk := range []int{1, 7, 1 << 20} {
			f := SSEFilter{RejectTools: tc.reject, IDs: dotted{}}
			if tc.interrupt != "" {
				f.Interrupted = []byte("data: " + tc.interrupt + "\n\n")
			}
			in, out := []byte("data: "+strings.Join(tc.in, "\n\ndata: ")+"\n\n"), []byte(nil)
			for len(in) > 0 {
				n := min(chunk, len(in))
				var err error
				if out, err = f.Filter(out, in[:n]); err != nil {
					t.Fatal(err)
				}
				in = in[n:]
			}
			if want := "data: " + strings.Join(tc.want, "\n\ndata: ") + "\n\n"; string(out) != want {
				t.Errorf("%s, chunks of %d:\n%s\nwant\n%s", name, chunk, out, want)
			}
		}
	}
}

// The event "id" is not sent if a tool call is reported after it.
func TestFilterDropsDelayedConversation(t *testing.T) {
	f := SSEFilter{RejectTools: true, IDs: dotted{}}
	out, err := f.Filter(nil, []byte("data: {\"type\": \"id\", \"id\": \"x\"}\n\n"+
		"data: {\"type\": \"tool_call\", \"data\": {\"tool_name\": \"memory\", \"action_name\": \"a\", \"status\": \"pending\"}}\n\n"+
		"data: {\"type\": \"end\"}\n\n"))
	if err == nil || bytes.Contains(out, []byte("x")) {
		t.Errorf("%v, %s", err, out)
	}
}

func TestConversationOfRewrites(t *testing.T) {
	for body, want := range map[string]string{
		`{"answer":"a","conversation_id":"x","sources":[{"conversation_id":"x"}]}`: `{"answer":"a","conversation_id":"x.signed","sources":[{"conversation_id":"x"}]}`,
		`{"conversation_id":"y"}`:    `{"conversation_id":"y"}`,
		`{"conversation_id":null}`:   `{"conversation_id":null}`,
		`{"conversation_id":"None"}`: `{"conversation_id":"None"}`,
		`{"answer":"a"}`:             `{"answer":"a"}`,
		`[{"conversation_id":"x"}]`:  `[{"conversation_id":"x"}]`,
		`{"conversation_id":"x"`:     `{"conversation_id":"x"`,
		"":                           "",
	} {
		if _, got := ConversationOf([]byte(body), dotted{}); string(got) != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}

// The IDs in a body are replaced in place, whatever their spelling.
func TestSetIDs(t *testing.T) {
	e := &Endpoint{Fields: []Field{
		{Name: "question", Kinds: KindString},
		{Name: "conversation_id", Kinds: KindString | KindNull, Check: CheckConversation},
		{Name: "attachments", Kinds: KindArray | KindNull, Check: CheckAttachments},
	}}
	var b Body
	text := `{"attachments" : [ "a.signed" ,"\u0062.signed"], "question":"q","conversation_id":"\u0078.signed"}`
	if err := b.Parse(e, []byte(text)); err != nil {
		t.Fatal(err)
	}
	e.limits = &DefaultLimits
	if err := b.Check(e); err != nil {
		t.Fatal(err)
	}
	if b.Conversation() != "x.signed" || strings.Join(b.Attachments(), ",") != "a.signed,b.signed" {
		t.Errorf("%q %q", b.Conversation(), b.Attachments())
	}
	b.SetConversation("x")
	b.SetAttachments([]string{"a", "b"})
	if got := string(b.Rewrite(e, Binding{}, true)); got != `{"attachments":["a","b"],"question":"q","conversation_id":"x"}` {
		t.Error(got)
	}
}
