package docsgpttest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"unicode/utf16"
)

func TestStreamWireFormat(t *testing.T) {
	_, s := startBackend(t, false)
	body := chatBody("api_key", keyAlpha, "question", "Où est-il 🦕?")
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST /stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\n\r\n%s", len(body), body)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 || len(resp.TransferEncoding) != 1 || resp.TransferEncoding[0] != "chunked" {
		t.Errorf("status %d, encoding %v", resp.StatusCode, resp.TransferEncoding)
	}
	for name, want := range map[string]string{
		"Server":                       "uvicorn",
		"Content-Type":                 "text/event-stream; charset=utf-8",
		"Access-Control-Allow-Origin":  "*",
		"Access-Control-Allow-Headers": "Content-Type, Authorization, Idempotency-Key",
		"Access-Control-Allow-Methods": "GET, POST, PUT, PATCH, DELETE, OPTIONS",
		"Vary":                         "Origin",
		"Cache-Control":                "",
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if resp.Header.Get("Date") == "" {
		t.Error("no Date")
	}
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	stream := string(raw)
	if !strings.HasPrefix(stream, `id: 0`+"\n"+`data: {"type": "message_id", "message_id": "`) {
		t.Errorf("the stream begins with %.80q", stream)
	}
	if !strings.HasSuffix(stream, "\n"+`data: {"type": "end"}`+"\n\n") {
		t.Errorf("the stream ends with %q", stream[len(stream)-80:])
	}
	for i, frame := range strings.Split(strings.TrimSuffix(stream, "\n\n"), "\n\n") {
		if !strings.HasPrefix(frame, fmt.Sprintf("id: %d\ndata: {\"type\": \"", i)) {
			t.Errorf("event %d is %q", i, frame)
		}
	}
	if !strings.Contains(stream, `O\u00f9`) || !strings.Contains(stream, `\ud83e\udd95`) {
		t.Error("text is not ASCII-escaped as json.dumps does it")
	}
	var answer string
	var order []string
	for _, e := range events(t, stream) {
		kind := e["type"].(string)
		if piece, is := e["answer"].(string); is {
			answer += piece
		}
		if len(order) == 0 || order[len(order)-1] != kind {
			order = append(order, kind)
		}
	}
	if got := strings.Join(order, " "); got != "message_id answer source tool_calls id end" {
		t.Errorf("order of events: %s", got)
	}
	line, _, _ := strings.Cut(answer, "\n")
	if want := `stub answer: source=alpha.md (` + alpha + `) turns=1 asked="Où est-il 🦕?"`; line != want {
		t.Errorf("got  %s\nwant %s", line, want)
	}
}

// answerText returns the text of the answer, and the body of other responses.
func answerText(t *testing.T, r response) string {
	t.Helper()
	if r.status != 200 {
		return r.body
	}
	if strings.HasPrefix(r.header.Get("Content-Type"), "application/json") {
		var v map[string]any
		if err := json.Unmarshal([]byte(r.body), &v); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(v["answer"])
	}
	text := ""
	for _, e := range events(t, r.body) {
		if piece, is := e["answer"].(string); is {
			text += piece
		}
		if message, is := e["error"].(string); is {
			text += message
		}
	}
	return text
}

func encodeUTF16(s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

func TestClientDisconnects(t *testing.T) {
	for name, c := range map[string]struct {
		question string
		headers  bool // the headers arrive before the silence
	}{
		"before the headers":          {"[[wait=600]]", false},
		"in the middle of the stream": {"[[gap=600]]", true},
	} {
		t.Run(name, func(t *testing.T) {
			b, s := startBackend(t, false)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			req, _ := http.NewRequestWithContext(ctx, "POST", s.URL+"/stream", strings.NewReader(chatBody("api_key", keyAlpha, "question", c.question)))
			req.Header.Set("Content-Type", "application/json")
			if c.headers {
				resp, err := http.DefaultTransport.RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
			} else {
				go func() { _, _ = http.DefaultTransport.RoundTrip(req) }()
			}
			waitFor(t, "the stream is open", func() bool { return b.OpenStreams() == 1 })
			cancel()
			waitFor(t, "the backend noticed", func() bool {
				calls := b.Calls()
				return b.OpenStreams() == 0 && len(calls) == 1 && calls[0].Canceled
			})
		})
	}
}
