package docsgpt

import (
	"bytes"
	"strings"
	"testing"
)

// recorded is a stream of DocsGPT 1.1.
const recorded = "id: 0\ndata: {\"type\": \"message_id\", \"message_id\": \"m\", \"conversation_id\": \"c-1\", \"request_id\": \"r\"}\n\n" +
	": keepalive\n\n" +
	"id: 1\ndata: {\"type\": \"answer\", \"answer\": \"He said \\\"end\\\" \\u00e4 \"}\n\n" +
	"event: message\r\nid: 2\r\ndata: {\"type\": \"answer\", \"answer\": \"äöü 漢字 🙂\"}\r\n\r\n" +
	"data:{\"type\": \"source\", \"source\": [{\"source_id\": \"s\"}]}\n\n" +
	"retry: 5\n\n" +
	"data: {\"type\": \"id\", \"id\": \"c-1\"}\n\n" +
	"data: {\"type\": \"end\"}\n\n"

const relayed = "data: {\"type\": \"message_id\", \"message_id\": \"m\", \"conversation_id\": \"c-1\", \"request_id\": \"r\"}\n\n" +
	"data: {\"type\": \"answer\", \"answer\": \"He said \\\"end\\\" \\u00e4 \"}\n\n" +
	"data: {\"type\": \"answer\", \"answer\": \"äöü 漢字 🙂\"}\n\n" +
	"data: {\"type\": \"source\", \"source\": [{\"source_id\": \"s\"}]}\n\n" +
	"data: {\"type\": \"id\", \"id\": \"c-1\"}\n\n" +
	"data: {\"type\": \"end\"}\n\n"

func TestSSEFilterEmitsCompleteEvents(t *testing.T) {
	for cut := range len(recorded) + 1 {
		var f SSEFilter
		var got []byte
		for _, piece := range []string{recorded[:cut], recorded[cut:]} {
			out, err := f.Filter(nil, []byte(piece))
			if err != nil {
				t.Fatal(err)
			}
			if len(out) > 0 && !bytes.HasSuffix(out, []byte("\n\n")) {
				t.Fatalf("cut at %d: a piece ends inside an event: %q", cut, out)
			}
			got = append(got, out...)
		}
		if string(got) != relayed {
			t.Fatalf("cut at %d: got\n%s\nwant\n%s", cut, got, relayed)
		}
		if !f.Done() {
			t.Fatalf("cut at %d: the end was not noticed", cut)
		}
	}
}

func TestSSEFilterByteByByte(t *testing.T) {
	var f SSEFilter
	var got []byte
	var told []string
	for i := range len(recorded) {
		var err error
		if got, err = f.Filter(got, []byte{recorded[i]}); err != nil {
			t.Fatal(err)
		}
		if id := f.Conversation(); id != "" {
			told = append(told, id)
			f.conversation = "" // so that the next event that names it is seen
		}
	}
	if string(got) != relayed {
		t.Errorf("got\n%s", got)
	}
	if strings.Join(told, " ") != "c-1 c-1" {
		t.Errorf("conversations: %v", told)
	}
}

func TestSSEFilterVerbatim(t *testing.T) {
	for cut := range len(recorded) + 1 {
		f := SSEFilter{Verbatim: true}
		first, err := f.Filter(nil, []byte(recorded[:cut]))
		if err != nil {
			t.Fatal(err)
		}
		held := len(f.Pending())
		if len(first)+held != cut || len(first) > 0 && !bytes.HasSuffix(first, []byte("\n\n")) && !bytes.HasSuffix(first, []byte("\r\n\r\n")) {
			t.Fatalf("cut at %d: passed %q, held %d", cut, first, held)
		}
		all, err := f.Filter(first, []byte(recorded[cut:]))
		if err != nil {
			t.Fatal(err)
		}
		if string(all) != recorded || len(f.Pending()) != 0 {
			t.Fatalf("cut at %d: got %q", cut, all)
		}
	}
}

func TestSSEFilterDone(t *testing.T) {
	for event, want := range map[string]bool{
		`{"type": "end"}`:                           true,
		`{"type":"end"}`:                            true,
		`{"type": "error", "error": "x"}`:           true,
		`{"a": 1, "type": "error"}`:                 true,
		`{"type": "answer", "answer": "end"}`:       false,
		`{"type": "answer", "answer": "\"end\""}`:   false,
		`{"type": "answer", "end": "end"}`:          false,
		`{"answer": "the \"type\": \"end\" event"}`: false,
		`[DONE]`:         false,
		`{"type": "end"`: false,
	} {
		var f SSEFilter
		if _, err := f.Filter(nil, []byte("data: "+event+"\n\n")); err != nil {
			t.Fatal(err)
		}
		if f.Done() != want {
			t.Errorf("%s: ended %v, want %v", event, f.Done(), want)
		}
	}
}

func TestSSEFilterInterrupted(t *testing.T) {
	const text, failure = `data: {"type": "answer", "answer": "a"}`, `data: {"type": "error", "error": "x"}`
	f := SSEFilter{Interrupted: TextEvent("It broke.")}
	out, err := f.Filter(nil, []byte(text+"\n\n"+failure+"\n\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := text + "\n\n" + `data: {"type":"answer","answer":"\n\nIt broke."}` + "\n\n" + failure + "\n\n"
	if string(out) != want {
		t.Errorf("got %q, want %q", out, want)
	}
	alone := SSEFilter{Interrupted: TextEvent("It broke.")}
	if out, err := alone.Filter(nil, []byte(failure+"\n\n")); err != nil || string(out) != failure+"\n\n" {
		t.Errorf("an error before any text: %q, %v", out, err)
	}
}

func TestSSEFilterDropsIncompleteEvent(t *testing.T) {
	var f SSEFilter
	out, err := f.Filter(nil, []byte("data: {\"type\": \"answer\"}\n\ndata: {\"type\": \"en"))
	if err != nil || string(out) != "data: {\"type\": \"answer\"}\n\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if f.Done() {
		t.Error("an incomplete event ends the stream")
	}
}

func TestSSEFilterMaxEvent(t *testing.T) {
	var f SSEFilter
	piece := bytes.Repeat([]byte("x"), 1<<20)
	for range MaxEvent >> 20 {
		if _, err := f.Filter(nil, piece); err != nil {
			t.Fatalf("rejected below the limit: %v", err)
		}
	}
	if _, err := f.Filter(nil, piece); err == nil {
		t.Error("an endless event is buffered forever")
	}
}

func FuzzEvents(f *testing.F) {
	f.Add([]byte(recorded), uint16(7))
	f.Add([]byte("data: a\rdata: b\r\r\n\ndata\n\n:x\n\ndata:\n\n"), uint16(3))
	f.Add([]byte("\ufeffdata: x\n\n"), uint16(1))
	f.Fuzz(func(t *testing.T, stream []byte, cut uint16) {
		var whole, pieces SSEFilter
		want, err := whole.Filter(nil, stream)
		if err != nil {
			return // over the limit
		}
		var got []byte
		for rest := stream; len(rest) > 0; {
			n := min(len(rest), int(cut)%64+1)
			if bytes.HasPrefix(stream, []byte("\xef")) {
				n = len(rest) // a byte order mark comes whole: it is three bytes at the very beginning
			}
			if got, err = pieces.Filter(got, rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("in chunks of %d: %q\nin one chunk: %q", cut, got, want)
		}
		if pieces.Done() != whole.Done() {
			t.Fatal("the end depends on the pieces")
		}
		for _, line := range bytes.Split(got, []byte("\n")) {
			if len(line) > 0 && !bytes.HasPrefix(line, []byte("data: ")) {
				t.Fatalf("a line that widgets cannot read: %q", line)
			}
		}
		if len(got) > 0 && !bytes.HasSuffix(got, []byte("\n\n")) {
			t.Fatalf("ends inside an event: %q", got)
		}
		// Only errors are not passed on unchanged.
		if reference := relayedByTheStandard(stream); !bytes.Contains(stream, []byte("error")) && string(got) != reference {
			t.Fatalf("got %q\nby the standard %q", got, reference)
		}
	})
}

// relayedByTheStandard reads a stream line by line, as the standard for server-sent events says, and returns the data of
// its complete events in the form in which they are relayed.
func relayedByTheStandard(stream []byte) string {
	text := strings.TrimPrefix(string(stream), "\ufeff")
	// A CR at the end of the input may be the first half of a line end.
	text = strings.TrimSuffix(text, "\r")
	lines := strings.Split(strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n"), "\n")
	var out, event strings.Builder
	for _, line := range lines[:len(lines)-1] {
		if line == "" {
			if event.Len() > 0 {
				out.WriteString(event.String() + "\n")
			}
			event.Reset()
			continue
		}
		if data, ok := strings.CutPrefix(line, "data:"); ok {
			event.WriteString("data: " + strings.TrimPrefix(data, " ") + "\n")
		}
	}
	return out.String()
}

func BenchmarkSSEFilter(b *testing.B) {
	stream := []byte(strings.Repeat("id: 12\ndata: {\"type\": \"answer\", \"answer\": \"some words \"}\n\n", 100))
	for name, f := range map[string]*SSEFilter{"tools allowed": {}, "tools rejected": {RejectTools: true}} {
		b.Run(name, func(b *testing.B) {
			out := make([]byte, 0, 2*len(stream))
			b.SetBytes(int64(len(stream)))
			b.ReportAllocs()
			for b.Loop() {
				out, _ = f.Filter(out[:0], stream)
			}
			if len(out) == 0 {
				b.Fatal("nothing came out")
			}
		})
	}
}
