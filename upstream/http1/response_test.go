package http1

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// textConn is a connection of a server that sends a text.
type textConn struct {
	net.Conn

	text   io.Reader
	closed bool
}

func (c *textConn) Read(p []byte) (int, error)      { return c.text.Read(p) }
func (c *textConn) Close() error                    { c.closed = true; return nil }
func (c *textConn) SetReadDeadline(time.Time) error { return nil }

// exchanged is what the client makes of the text of a server.
type exchanged struct {
	resp   *response
	body   string
	reused bool
	rest   int // bytes that were received and not consumed
}

// receiveText reads the response to a request. The error is that of the header or of the body.
func receiveText(method string, text io.Reader) (exchanged, error) {
	nc := &textConn{text: text}
	c, err := newConn(nc)
	if err != nil {
		return exchanged{}, err
	}
	resp, err := readResponse(c, method, time.Time{})
	if err != nil {
		return exchanged{}, err
	}
	client := New(Config{IdleTimeout: time.Hour, MaxIdle: 1})
	defer client.Close()
	resp.body.client, resp.body.stop = client, func() bool { return true }
	body, err := io.ReadAll(resp.Body)
	reused := client.pool.get(time.Now()) == c
	if reused == nc.closed {
		return exchanged{}, fmt.Errorf("the connection is in the pool: %v, and closed: %v", reused, nc.closed)
	}
	return exchanged{resp: resp, body: string(body), reused: reused, rest: len(c.buffered())}, err
}

func TestReadResponse(t *testing.T) {
	long := strings.Repeat("long ", 10_000)
	for name, c := range map[string]struct {
		method string // "": POST
		text   string
		status int // 0: 200
		header http.Header
		body   string
		closes bool
	}{
		"a length":            {text: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", header: http.Header{"Content-Length": {"2"}}, body: "ok"},
		"a long body":         {text: "HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + long, header: http.Header{"Content-Length": {"50000"}}, body: long},
		"no bytes":            {text: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", header: http.Header{"Content-Length": {"0"}}},
		"no reason":           {text: "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", header: http.Header{"Content-Length": {"0"}}},
		"to the end":          {text: "HTTP/1.1 200 OK\r\n\r\nok", body: "ok", closes: true},
		"HTTP/1.0":            {text: "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", header: http.Header{"Content-Length": {"2"}}, body: "ok", closes: true},
		"HTTP/1.0, kept":      {text: "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", header: http.Header{"Connection": {"keep-alive"}, "Content-Length": {"0"}}},
		"closes":              {text: "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 0\r\n\r\n", header: http.Header{"Content-Length": {"0"}}, closes: true},
		"chunks":              {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nok\r\nA;x=\"y\"\r\n0123456789\r\n0\r\n\r\n", body: "ok0123456789"},
		"trailers":            {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n2\r\nok\r\n0\r\nA: 1\r\nB: 2\r\n\r\n", body: "ok"},
		"a large chunk":       {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nc350\r\n" + long + "\r\n0\r\n\r\n", body: long},
		"many chunks":         {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("1\r\nx\r\n", 10_000) + "0\r\n\r\n", body: strings.Repeat("x", 10_000)},
		"lower case":          {text: "HTTP/1.1 200 OK\r\ncontent-length:0\r\nx-REQUEST-id: \t a b \t\r\nx-request-id: c\r\n\r\n", header: http.Header{"Content-Length": {"0"}, "X-Request-Id": {"a b", "c"}}},
		"informational":       {text: "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", status: 404, header: http.Header{"Content-Length": {"0"}}},
		"no content":          {text: "HTTP/1.1 204 No Content\r\n\r\n", status: 204},
		"not modified":        {text: "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", status: 304, header: http.Header{"Content-Length": {"7"}}},
		"HEAD":                {method: "HEAD", text: "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", header: http.Header{"Content-Length": {"7"}}},
		"HEAD of a stream":    {method: "HEAD", text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
		"no content, suspect": {text: "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", status: 204, closes: true},
		"a body of a 204":     {text: "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n", status: 204, closes: true},
		"surplus bytes":       {text: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n", header: http.Header{"Content-Length": {"2"}}, body: "ok", closes: true},
		"after the trailers":  {text: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\r\n", closes: true},
		"a large header": {
			text:   "HTTP/1.1 200 OK\r\nX: " + long + "\r\nContent-Length: 2\r\n\r\nok",
			header: http.Header{"Content-Length": {"2"}, "X": {strings.TrimSpace(long)}}, body: "ok",
		},
		"Pragma": {
			text:   "HTTP/1.1 200 OK\r\nPragma: no-cache\r\nContent-Length: 0\r\n\r\n",
			header: http.Header{"Content-Length": {"0"}, "Pragma": {"no-cache"}, "Cache-Control": {"no-cache"}},
		},
	} {
		for how, reader := range map[string]func(io.Reader) io.Reader{
			"together":     func(r io.Reader) io.Reader { return r },
			"byte by byte": iotest.OneByteReader,
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				method := c.method
				if method == "" {
					method = http.MethodPost
				}
				got, err := receiveText(method, reader(strings.NewReader(c.text)))
				if err != nil {
					t.Fatal(err)
				}
				if want := max(c.status, 200); c.status == 0 && got.resp.StatusCode != want || c.status > 0 && got.resp.StatusCode != c.status {
					t.Errorf("the status is %d", got.resp.StatusCode)
				}
				if len(got.resp.Header)+len(c.header) > 0 && !reflect.DeepEqual(got.resp.Header, c.header) {
					t.Errorf("the header is %v, want %v", got.resp.Header, c.header)
				}
				if got.body != c.body {
					t.Errorf("the body is %.100q, want %.100q", got.body, c.body)
				}
				// Byte by byte, surplus bytes are found when the connection is used again.
				if surplus := c.closes && how != "together"; got.reused == c.closes && !surplus {
					t.Errorf("the connection is reused: %v", got.reused)
				}
			})
		}
	}
}

func TestReadResponseRejects(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	chunked := ok + "Transfer-Encoding: chunked\r\n\r\n"
	for name, text := range map[string]string{
		"nothing":                   "",
		"another protocol":          "SSH-2.0-OpenSSH_9.2\r\n",
		"HTTP/2":                    "HTTP/2 200 OK\r\n\r\n",
		"another version":           "HTTP/1.2 200 OK\r\n\r\n",
		"a version without minor":   "HTTP/1. 200 OK\r\n\r\n",
		"an empty line first":       "\r\n" + ok + "\r\n",
		"no status":                 "HTTP/1.1\r\n\r\n",
		"two spaces":                "HTTP/1.1  200 OK\r\n\r\n",
		"a short status":            "HTTP/1.1 20 OK\r\n\r\n",
		"a long status":             "HTTP/1.1 2000 OK\r\n\r\n",
		"a low status":              "HTTP/1.1 099 OK\r\n\r\n",
		"a signed status":           "HTTP/1.1 +20 OK\r\n\r\n",
		"a control character":       "HTTP/1.1 200 O\x00K\r\n\r\n",
		"switching protocols":       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
		"many informational":        strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 6) + ok + "Content-Length: 0\r\n\r\n",
		"line feeds":                "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
		"a line feed in the header": ok + "A: 1\nContent-Length: 0\r\n\r\n",
		"a carriage return":         ok + "A: 1\rB: 2\r\nContent-Length: 0\r\n\r\n",
		"a folded line":             ok + "A: 1\r\n 2\r\nContent-Length: 0\r\n\r\n",
		"a folded first line":       ok + " A: 1\r\nContent-Length: 0\r\n\r\n",
		"no colon":                  ok + "A\r\n\r\n",
		"no name":                   ok + ": 1\r\n\r\n",
		"a space after the name":    ok + "Content-Length : 0\r\n\r\n",
		"an invalid name":           ok + "A(: 1\r\n\r\n",
		"an invalid value":          ok + "A: \x00\r\n\r\n",
		"many fields":               ok + strings.Repeat("A: 1\r\n", maxFields+1) + "\r\n",
		"many bytes":                ok + "A: " + strings.Repeat("x", maxHead) + "\r\n\r\n",
		"a header without end":      ok + "A: 1\r\n",
		"two lengths":               ok + "Content-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
		"a length twice":            ok + "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
		"a list of lengths":         ok + "Content-Length: 2, 2\r\n\r\nok",
		"a signed length":           ok + "Content-Length: +2\r\n\r\nok",
		"a negative length":         ok + "Content-Length: -2\r\n\r\nok",
		"an empty length":           ok + "Content-Length:\r\n\r\n",
		"a huge length":             ok + "Content-Length: 9223372036854775808\r\n\r\n",
		"length and chunks":         ok + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"another encoding":          ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"identity":                  ok + "Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n",
		"an encoding twice":         ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunks in HTTP/1.0":        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"a forbidden trailer":       ok + "Transfer-Encoding: chunked\r\nTrailer: a, content-length\r\n\r\n0\r\n\r\n",
		"truncated":                 ok + "Content-Length: 3\r\n\r\nok",
		"no chunk":                  chunked,
		"a truncated chunk":         chunked + "3\r\nok",
		"no end of a chunk":         chunked + "2\r\nok",
		"between chunks":            chunked + "2\r\nok\r\n",
		"no end of trailers":        chunked + "0\r\nA: 1\r\n",
		"a line feed after a size":  chunked + "2\nok\r\n0\r\n\r\n",
		"a line feed after data":    chunked + "2\r\nok\n0\r\n\r\n",
		"data after a chunk":        chunked + "2\r\nokay\r\n0\r\n\r\n",
		"a carriage return in it":   chunked + "2;\r\r\nok\r\n0\r\n\r\n",
		"no size":                   chunked + "\r\n\r\n",
		"a size with a prefix":      chunked + "0x2\r\nok\r\n0\r\n\r\n",
		"a negative size":           chunked + "-2\r\nok\r\n0\r\n\r\n",
		"a space before the size":   chunked + " 2\r\nok\r\n0\r\n\r\n",
		"a huge size":               chunked + "8000000000000000\r\n",
		"a size that overflows":     chunked + "10000000000000002\r\nok\r\n0\r\n\r\n",
		"a long extension":          chunked + "2;" + strings.Repeat("x", maxChunkLine) + "\r\nok\r\n0\r\n\r\n",
		"many extensions":           chunked + strings.Repeat("1;"+strings.Repeat("x", 200)+"\r\nx\r\n", 200) + "0\r\n\r\n",
		"long trailers":             chunked + "0\r\n" + strings.Repeat("A: "+strings.Repeat("x", 100)+"\r\n", 30) + "\r\n",
		"an invalid trailer":        chunked + "0\r\nA\r\n\r\n",
		"a folded trailer":          chunked + "0\r\nA: 1\r\n 2\r\n\r\n",
	} {
		for how, reader := range map[string]func(io.Reader) io.Reader{
			"together":     func(r io.Reader) io.Reader { return r },
			"byte by byte": iotest.OneByteReader,
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				got, err := receiveText(http.MethodPost, reader(strings.NewReader(text)))
				var bad *ProtocolError
				if !errors.As(err, &bad) && !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Fatalf("got %v, body %q", err, got.body)
				}
				if got.reused {
					t.Error("the connection is reused")
				}
			})
		}
	}
}

// What cannot become a valid response is rejected when it arrives, without waiting for the end of the header.
func TestReadResponseRejectsEarly(t *testing.T) {
	for name, text := range map[string]string{
		"another protocol": "SSH-2.0",
		"line feeds":       "HTTP/1.1 200 OK\n",
		"many bytes":       "HTTP/1.1 200 OK\r\nA: " + strings.Repeat("x", maxHead),
	} {
		t.Run(name, func(t *testing.T) {
			var bad *ProtocolError
			_, err := receiveText(http.MethodPost, io.MultiReader(strings.NewReader(text), iotest.ErrReader(errors.New("waited"))))
			if !errors.As(err, &bad) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// A server that sends each event in a chunk of its own, but all in one packet, must not cost the caller a call for each.
func TestReadChunkJoinsChunks(t *testing.T) {
	text := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n3\r\nbcd\r\n2\r\nef"
	c, err := newConn(&textConn{text: io.MultiReader(strings.NewReader(text), strings.NewReader("\r\n0\r\n\r\n"))})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := readResponse(c, http.MethodPost, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	resp.body.client, resp.body.stop = New(Config{}), func() bool { return true }
	p, err := resp.body.ReadChunk(0)
	if err != nil || string(p) != "abcdef" {
		t.Errorf("got %q, %v", p, err)
	}
	if p, err = resp.body.ReadChunk(0); !errors.Is(err, io.EOF) {
		t.Errorf("then got %q, %v", p, err)
	}
}
