package docsgpt

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/internal/alloctest"
)

// The recordings in testdata/dialects are streams of DocsGPT. Those of 1.1 were recorded from a server and have replaced
// IDs. The older ones were written to match what their versions send.
var dialectOf = map[string][]string{
	"0.8": {"0.8"}, "0.9": {"0.8"}, "0.10": {"0.8", "0.10-failed"},
	"0.11": {"0.11"}, "0.12": {"0.11"}, "0.13": {"0.11"},
	"0.14": {"0.14"}, "0.15": {"0.15"}, "0.16": {"0.15", "0.16"},
	"0.17": {"0.17"}, "0.18": {"0.17"}, "0.19": {"0.19"}, "0.20": {"0.19"}, "0.21": {"0.19"},
	"1.0": {"1.1", "1.1-failed", "1.1-silence"}, "1.1": {"1.1", "1.1-failed", "1.1-silence"},
}

// openAIRecording is a stream for OpenAI clients, which is relayed unchanged.
const openAIRecording = "1.1-openai"

func recording(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "dialects", name+".sse"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// recordings are the names of the streams for widgets.
func recordings() []string {
	var names []string
	for _, of := range dialectOf {
		names = append(names, of...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// payloads are the data of a recording's events as widgets get them: byte for byte, except for the text of an exception,
// which versions 0.10 to 0.13 add to an error.
func payloads(stream string) []string {
	var all []string
	for line := range strings.Lines(stream) {
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			data = strings.TrimSuffix(data, "\n")
			if strings.Contains(data, "error_exception") {
				data = `{"type":"error","error":"Please try again later. We apologize for any inconvenience."}`
			}
			all = append(all, data)
		}
	}
	return all
}

// relayedOf returns the events as a widget receives them.
func relayedOf(payloads []string) string {
	return "data: " + strings.Join(payloads, "\n\ndata: ") + "\n\n"
}

// strict parses a stream like the strictest widget: lines of data, each valid JSON, and blank lines. It returns the data.
func strict(t *testing.T, stream []byte) []string {
	t.Helper()
	if len(stream) > 0 && !bytes.HasSuffix(stream, []byte("\n\n")) {
		t.Fatalf("ends inside an event: %q", stream[max(0, len(stream)-80):])
	}
	var all []string
	for line := range bytes.Lines(stream) {
		if string(line) == "\n" {
			continue
		}
		data, ok := bytes.CutPrefix(line, []byte("data: "))
		data = bytes.TrimSuffix(data, []byte("\n"))
		if !ok || !json.Valid(data) {
			t.Fatalf("a line that a widget cannot read: %q", line[:min(len(line), 200)])
		}
		all = append(all, string(data))
	}
	return all
}

// pieces filters a stream in chunks. Each output must consist of complete events.
func pieces(t *testing.T, f *SSEFilter, parts ...string) []byte {
	t.Helper()
	var out []byte
	for _, part := range parts {
		before := len(out)
		var err error
		if out, err = f.Filter(out, []byte(part)); err != nil {
			t.Fatal(err)
		}
		if len(out) > before && !bytes.HasSuffix(out, []byte("\n\n")) {
			t.Fatalf("a piece ends inside an event: %q", out[max(before, len(out)-80):])
		}
	}
	return out
}

var escape = regexp.MustCompile(`(\\u[0-9a-f]{4})+`)

// variants are different encodings of the same events.
var variants = map[string]func(string) string{
	"as recorded": func(s string) string { return s },
	"CRLF":        func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
	// An LF may follow a CR at the end of the input, so the last event is complete only if something else follows.
	"CR": func(s string) string { return strings.ReplaceAll(s, "\n", "\r") + ":" },
	"keepalives between all events": func(s string) string {
		return ": keepalive\n\n" + strings.ReplaceAll(s, "\n\n", "\n\n: keepalive\n\n")
	},
	"comments and fields in all events": func(s string) string {
		return strings.ReplaceAll(s, "data: ", ": comment\nevent: message\nretry: 1\nid: 7\ndata: ")
	},
	"no blank after the colon": func(s string) string { return strings.ReplaceAll(s, "data: ", "data:") },
	"characters of several bytes": func(s string) string {
		return escape.ReplaceAllStringFunc(s, func(e string) string {
			var text string
			if json.Unmarshal([]byte(`"`+e+`"`), &text) != nil || text < " " || strings.ContainsRune(text, 0x2028) {
				return e
			}
			return text
		})
	},
}

func TestDialectsThroughFilter(t *testing.T) {
	for _, name := range recordings() {
		for variant, change := range variants {
			t.Run(name+", "+variant, func(t *testing.T) {
				stream := change(recording(t, name))
				want := payloads(recording(t, name))
				if variant == "characters of several bytes" {
					want = payloads(stream)
				}
				whole := relayedOf(want)
				if got := strict(t, []byte(whole)); !slices.Equal(got, want) {
					t.Fatalf("the recording holds what no widget can read: %q", got)
				}
				check := func(what string, cut int, f *SSEFilter, out []byte) {
					if string(out) != whole {
						t.Fatalf("%s %d: got %q, want %q", what, cut, out, whole)
					}
					if !f.Done() {
						t.Fatalf("%s %d: the end was not noticed", what, cut)
					}
				}
				for cut := range len(stream) + 1 {
					var f SSEFilter
					check("cut at", cut, &f, pieces(t, &f, stream[:cut], stream[cut:]))
				}
				for size := 1; size < 70; size += 3 {
					var f SSEFilter
					check("in pieces of", size, &f, pieces(t, &f, split(stream, func() int { return size })...))
				}
				random := rand.New(rand.NewPCG(1, 2))
				for range 20 {
					var f SSEFilter
					check("in pieces of up to", 300, &f, pieces(t, &f, split(stream, func() int { return 1 + random.IntN(300) })...))
				}
			})
		}
	}
}

func split(s string, size func() int) []string {
	var parts []string
	for s != "" {
		n := min(size(), len(s))
		parts, s = append(parts, s[:n]), s[n:]
	}
	return parts
}

// A stream that is truncated anywhere yields only complete events, and the event that the gate adds ends it properly.
func TestDialectsTruncated(t *testing.T) {
	for _, name := range recordings() {
		t.Run(name, func(t *testing.T) {
			stream := recording(t, name)
			whole := relayedOf(payloads(stream))
			for cut := range len(stream) {
				var f SSEFilter
				out := pieces(t, &f, stream[:cut])
				if !strings.HasPrefix(whole, string(out)) || len(out) == len(whole) {
					t.Fatalf("cut at %d: got %q", cut, out)
				}
				if f.Done() {
					t.Fatalf("cut at %d: is reported as complete", cut)
				}
				spoke := strings.Contains(string(out), `"answer"`)
				if f.HasText() != spoke {
					t.Fatalf("cut at %d: some text came: %v, noticed: %v", cut, spoke, f.HasText())
				}
				got := strict(t, FormatEvent.AppendStreamError(nil, Truncated(), "r"))
				if last := got[len(got)-1]; len(got) != 1 || !strings.HasPrefix(last, `{"type":"error","error":"The answer was interrupted.`) {
					t.Fatalf("cut at %d: ends with %s", cut, last)
				}
			}
		})
	}
}

// OpenAI clients get the same bytes, wherever the stream is split, and never a part of an event.
func TestOpenAIStreamsUnchanged(t *testing.T) {
	for variant, change := range variants {
		t.Run(variant, func(t *testing.T) {
			stream := change(recording(t, openAIRecording))
			for cut := range len(stream) + 1 {
				f := SSEFilter{Verbatim: true}
				first, err := f.Filter(nil, []byte(stream[:cut]))
				if err != nil {
					t.Fatal(err)
				}
				if string(first)+string(f.Pending()) != stream[:cut] {
					t.Fatalf("cut at %d: %q came, and %q is held", cut, first, f.Pending())
				}
				all, err := f.Filter(first, []byte(stream[cut:]))
				if err != nil {
					t.Fatal(err)
				}
				if all = append(all, f.Pending()...); string(all) != stream {
					t.Fatalf("cut at %d: got %q", cut, all)
				}
			}
		})
	}
}

// An event of a megabyte is handled like any other.
func TestLargeEvents(t *testing.T) {
	text := strings.Repeat("0123456789 äöü 漢字 🙂 ", 1<<20/28)
	large, err := json.Marshal(map[string]string{"type": "answer", "answer": text})
	if err != nil || len(large) < 1<<20-100 {
		t.Fatalf("%d bytes, %v", len(large), err)
	}
	events := []string{`{"type": "answer", "answer": "a"}`, string(large), `{"type": "source", "source": [` + string(large) + `]}`, `{"type": "end"}`}
	stream := "id: 0\ndata: " + strings.Join(events, "\n\n: keepalive\n\nid: 1\ndata: ") + "\n\n"
	whole := relayedOf(events)
	for name, size := range map[string]func() int{
		"in one chunk":       func() int { return len(stream) },
		"as sockets give it": func() int { return 4096 },
		"odd":                func() int { return 4093 },
		"small":              func() int { return 61 },
	} {
		t.Run(name, func(t *testing.T) {
			var f SSEFilter
			if got := strict(t, pieces(t, &f, split(stream, size)...)); !slices.Equal(got, events) || !f.Done() {
				t.Errorf("got %d events, ended %v", len(got), f.Done())
			}
		})
	}
	t.Run("cut around the ends of its events", func(t *testing.T) {
		for at := 0; at < len(stream); {
			next := strings.Index(stream[at:], "\n\n")
			if next < 0 {
				break
			}
			at += next + 2
			for cut := max(0, at-4); cut < min(len(stream), at+24); cut++ {
				var f SSEFilter
				if out := pieces(t, &f, stream[:cut], stream[cut:]); string(out) != whole {
					t.Fatalf("cut at %d: got %d bytes, want %d", cut, len(out), len(whole))
				}
			}
		}
	})
}

// The recordings match the dialects in the version table.
func TestRecordingsMatchVersionTable(t *testing.T) {
	for _, name := range VersionNames() {
		v, err := FindVersion(name)
		if err != nil {
			t.Fatal(err)
		}
		var all string
		for _, of := range dialectOf[name] {
			all += recording(t, of)
		}
		got := Dialect{
			Typed:      strings.Contains(all, `{"type": "answer", "answer": `) && !strings.Contains(all, `data: {"answer"`),
			Numbered:   strings.HasPrefix(all, "id: 0\n"),
			Keepalives: strings.Contains(all, "\n: keepalive\n"),
		}
		if got != v.Dialect {
			t.Errorf("%s: the recording shows %+v, the table says %+v", name, got, v.Dialect)
		}
	}
	files, err := filepath.Glob("testdata/dialects/*.sse")
	if err != nil || len(files) != len(recordings())+1 {
		t.Errorf("%d files for %d recordings, %v", len(files), len(recordings())+1, err)
	}
}

// steady are the frequent chunks of an answer: a chunk per event, an event in several chunks, and several events in one
// chunk.
func steady() [][]byte {
	const event = "id: 12\ndata: {\"type\": \"answer\", \"answer\": \"some \\\"words\\\" \\u00e4 \"}\n\n"
	return [][]byte{
		[]byte(event), []byte(": keepalive\n\n"), []byte(event[:20]), []byte(event[20:]), []byte(event + event + event[:30]),
		[]byte(event[30:]), []byte(strings.ReplaceAll(event, "\n", "\r\n")), []byte("data: {\"answer\": \"x\"}\n\n"),
	}
}

func TestSSEFilterAllocations(t *testing.T) {
	for name, f := range map[string]*SSEFilter{"whole events": {}, "verbatim": {Verbatim: true}} {
		t.Run(name, func(t *testing.T) {
			out := make([]byte, 0, 4096)
			if n := alloctest.MinAllocs(200, func() {
				for _, piece := range steady() {
					_ = piece
				}
			}); n == 0 {
				t.Fatal("allocations are not counted here")
			}
			parts := steady()
			if n := alloctest.MinAllocs(200, func() {
				for _, piece := range parts {
					out, _ = f.Filter(out[:0], piece)
				}
			}); n != 0 {
				t.Errorf("%v allocations for %d pieces", n, len(parts))
			}
		})
	}
}

// BenchmarkDialects relays each recording's events repeatedly, in chunks as a socket returns them: one event each, and as
// much as fits.
func BenchmarkDialects(b *testing.B) {
	for _, name := range append(recordings(), openAIRecording) {
		stream := strings.Repeat(answersOf(b, name), 50)
		if stream == "" {
			continue // an error alone comes once a stream
		}
		for how, parts := range map[string][]string{
			"an event a piece": strings.SplitAfter(stream, "\n\n"),
			"4 KiB a piece":    split(stream, func() int { return 4096 }),
		} {
			b.Run(name+"/"+how, func(b *testing.B) {
				raw := make([][]byte, len(parts))
				for i, part := range parts {
					raw[i] = []byte(part)
				}
				f := SSEFilter{Verbatim: name == openAIRecording}
				out := make([]byte, 0, 1<<16)
				b.SetBytes(int64(len(stream)))
				b.ReportAllocs()
				for b.Loop() {
					for _, piece := range raw {
						out, _ = f.Filter(out[:0], piece)
					}
				}
			})
		}
	}
}

// answersOf returns the text events of a recording, which make a stream long, or an empty text if there are none.
func answersOf(t testing.TB, name string) string {
	var kept string
	for _, event := range strings.SplitAfter(recording(t, name), "\n\n") {
		if strings.Contains(event, `"answer": "`) || strings.Contains(event, `"content": "`) {
			kept += event
		}
	}
	return kept
}
