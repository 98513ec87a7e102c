package docsgpt

import (
	"bytes"
	"strings"
	"testing"
)

// chunkEvent returns an event with a piece of a completion, as DocsGPT writes it.
func chunkEvent(text string) string {
	return `data: {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1795000000, "model": "a \"b\" \u00e4", ` +
		`"choices": [{"index": 0, "delta": {"content": "` + text + "\"}, \"finish_reason\": null}]}\n\n"
}

// What readContentChunk accepts is relayed as by appendEvent.
func FuzzContentChunk(f *testing.F) {
	word := chunkEvent("a word")
	for _, s := range []string{
		word, word + word, chunkEvent(""), chunkEvent(`\"error\": [DONE] \u00e4\n`), chunkEvent(`\"usage\": {}, \"sources\": [1], tool_calls`), chunkEvent("\u00e4\u4e2d"),
		chunkEvent("\xff"), chunkEvent(`\q`), chunkEvent("\r"), word[:len(word)-1], strings.TrimSuffix(word, "\n\n") + "\r\n\r\n", "id: 1\n" + word, " " + word,
		strings.Replace(word, `"content"`, `"reasoning_content"`, 1), strings.Replace(word, `"content"`, `"role": "assistant", "content"`, 1),
		strings.Replace(word, "null", `"stop"`, 1), strings.Replace(word, "1795000000", "-1", 1), strings.Replace(word, "1795000000", "01", 1),
		strings.Replace(word, "}]}", `}], "usage": {"total_tokens": 1}}`, 1), strings.Replace(word, "}]}", `}], "docsgpt": {"sources": [1]}}`, 1),
		"data: {\"error\": {\"message\": \"x\"}}\n\n", "data: [DONE]\n\n",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, s []byte) {
		chunk := readContentChunk(s)
		if chunk.event == nil {
			return
		}
		if end := endOfEvent(s, 0); end != len(chunk.event) {
			t.Fatalf("the event ends at %d, want %d", len(chunk.event), end)
		}
		if _, _, ok := EventUsage(chunk.event); ok {
			t.Fatalf("%q has a usage, which OnEvent must see", chunk.event)
		}
		for i := range 4 {
			fast := SSEFilter{Verbatim: true, DetectEnd: true, CountText: true, DetectSources: true, RejectTools: i&1 == 0, AddRole: i&2 == 0}
			slow := fast
			got, want := fast.appendContentChunk([]byte("before"), chunk), slow.appendEvent([]byte("before"), chunk.event)
			if !bytes.Equal(got, want) {
				t.Fatalf("got %q, want %q", got, want)
			}
			if fast.Text() != slow.Text() || fast.Done() != slow.Done() || fast.HasSources() != slow.HasSources() || fast.AddRole != slow.AddRole || slow.toolCall != nil {
				t.Fatalf("%q: got %+v, want %+v", s, fast, slow)
			}
		}
	})
}

// The pieces that DocsGPT sends must not need the slower way.
func TestContentChunk(t *testing.T) {
	for _, text := range []string{"", "word ", `\u00e4 \"x\" \\ \n`, "ä"} {
		event := chunkEvent(text)
		chunk := readContentChunk([]byte(event + "data: [DONE]\n\n"))
		if string(chunk.event) != event || chunk.text != len(text) || !strings.HasPrefix(event[chunk.delta:], `"content"`) {
			t.Errorf("%q: got %q, the delta at %d, %d bytes", text, chunk.event, chunk.delta, chunk.text)
		}
	}
}

// The role is added to the first piece only, however the stream is cut.
func TestContentChunkRole(t *testing.T) {
	stream := chunkEvent("a") + chunkEvent("b") + "data: [DONE]\n\n"
	want := strings.Replace(stream, `"content"`, `"role": "assistant", "content"`, 1)
	for n := 1; n <= len(stream); n++ {
		f := SSEFilter{Verbatim: true, DetectEnd: true, AddRole: true, CountText: true}
		out, err := filterInPieces(&f, stream, n)
		if err != nil {
			t.Fatal(err)
		}
		if string(out) != want || !f.Done() || f.Text() != 2 {
			t.Fatalf("in pieces of %d bytes: got %q, done: %t, %d bytes of text", n, out, f.Done(), f.Text())
		}
	}
}

func BenchmarkContentChunks(b *testing.B) {
	stream := []byte(strings.Repeat(chunkEvent("some words "), 100))
	for name, f := range map[string]*SSEFilter{"tools allowed": {}, "tools rejected": {RejectTools: true}} {
		b.Run(name, func(b *testing.B) {
			f.Verbatim, f.DetectEnd, f.CountText, f.DetectSources = true, true, true, true
			out := make([]byte, 0, 2*len(stream))
			b.SetBytes(int64(len(stream)))
			b.ReportAllocs()
			for b.Loop() {
				out, _ = f.Filter(out[:0], stream)
			}
			if len(out) != len(stream) {
				b.Fatalf("%d bytes, want %d", len(out), len(stream))
			}
		})
	}
}
