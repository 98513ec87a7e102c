package docsgpt

import "testing"

// scanMetaEvent finds what parseMetaEvent finds.
func FuzzMetaEvent(f *testing.F) {
	for _, s := range []string{
		`{"type": "id", "id": "c-1"}`, `{"type": "end"} `, ` {}`, `{ }`, `{"type":"id","type":"end"}`, `{"id": {"id": 1}, "x": [1]}`, `{"type"`, `{"type":}`, `[]`, ``,
		`{"message_id": "m", "conversation_id": null, "type": "message_id"}`, `{"type": "end"}x`, `{"type": "end",}`, `{"\u0074ype": "end"}`, `{"type": "\ud800"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, ok := scanMetaEvent(data)
		want, wantOK := parseMetaEvent(data)
		if ok && (!wantOK || got != want) {
			t.Fatalf("%q: got %+v, want %+v, %t", data, got, want, wantOK)
		}
	})
}

// The events of DocsGPT must not need the slower way.
func TestScanMetaEvent(t *testing.T) {
	const data = `{"type": "message_id", "message_id": "m", "conversation_id": "c-1", "request_id": "r"}`
	e, ok := scanMetaEvent([]byte(data))
	if !ok || string(e.kind.of([]byte(data))) != `"message_id"` || string(e.conversation.of([]byte(data))) != `"c-1"` || string(e.message.of([]byte(data))) != `"m"` {
		t.Errorf("got %+v, %t", e, ok)
	}
}
