package docsgpt

import (
	"bytes"
	"testing"
)

// What answerEvent accepts is relayed as by appendEvent.
func FuzzAnswerEvent(f *testing.F) {
	for _, s := range []string{
		"data: {\"type\": \"answer\", \"answer\": \"yes\"}\n\n", "id: 12\ndata: {\"type\": \"answer\", \"answer\": \"yes\"}\n\ndata: {}\n\n",
		"id: \ndata: {\"type\": \"answer\"}\n\n", "id: 1\r\ndata: {\"type\": \"answer\"}\n\n", "id: 1a\ndata: {\"type\": \"answer\"}\n\n", "id: 1",
		"data: {\"type\": \"answer\"}\r\n\n", "data: {\"type\": \"answer\", \"a\": \"\r\"}\n\n", "data: {\"type\": \"answer\"}\n", "data: {\"type\": \"answer\"}\n\r\n",
		"data: {\"type\": \"answer\"}\ndata: {\"type\": \"end\"}\n\n", "data: {\"type\": \"answer\"\n\n", "data: {\"type\": \"answers\"}\n\n",
		"data:  {\"type\": \"answer\"}\n\n", "data: {\"type\":\"answer\"}\n\n", "data: {\"type\": \"answer\"}\n\n\n", recorded,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, s []byte) {
		event, after := answerEvent(s)
		if event == nil {
			return
		}
		if end := endOfEvent(s, 0); end != after {
			t.Fatalf("the event ends at %d, want %d", after, end)
		}
		for _, rejectTools := range []bool{false, true} {
			fast, slow := SSEFilter{CountText: true, DetectSources: true, RejectTools: rejectTools}, SSEFilter{CountText: true, DetectSources: true, RejectTools: rejectTools}
			got, want := fast.appendAnswer([]byte("before"), event), slow.appendEvent([]byte("before"), s[:after])
			if !bytes.Equal(got, want) {
				t.Fatalf("got %q, want %q", got, want)
			}
			if fast.HasText() != slow.HasText() || fast.Text() != slow.Text() || fast.Done() != slow.Done() || fast.HasSources() != slow.HasSources() ||
				fast.Commented() != slow.Commented() || slow.toolCall != nil || slow.Conversation() != "" {
				t.Fatalf("%q: got %+v, want %+v", s, fast, slow)
			}
		}
	})
}

// The events of DocsGPT must not need the slower way.
func TestAnswerEvent(t *testing.T) {
	for _, id := range []string{"", "id: 0\n", "id: 417\n"} {
		const data = "data: {\"type\": \"answer\", \"answer\": \"\\u00e4 \\\"x\\\"\"}\n\n"
		if event, after := answerEvent([]byte(id + data + "id: 418\n")); string(event) != data || after != len(id+data) {
			t.Errorf("%q: got %q, %d", id, event, after)
		}
	}
}
