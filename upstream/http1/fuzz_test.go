package http1

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

// stepReader returns a few bytes per read.
type stepReader struct {
	*bytes.Reader

	step int
}

func (r *stepReader) Read(p []byte) (int, error) { return r.Reader.Read(p[:min(len(p), r.step)]) }

// readReference reads a response with net/http, as its client does. rest is what it has not read.
func readReference(method string, text []byte) (resp *http.Response, body string, rest int, err error) {
	all := bytes.NewReader(text)
	r := bufio.NewReader(all)
	for range maxInformational + 1 {
		if resp, err = http.ReadResponse(r, &http.Request{Method: method}); err != nil || resp.StatusCode >= 200 || resp.StatusCode < 100 {
			break
		}
	}
	if err != nil {
		return nil, "", 0, err
	}
	read, err := io.ReadAll(resp.Body)
	return resp, string(read), all.Len() + r.Buffered(), err
}

// FuzzReadResponse compares with net/http: whatever is accepted is read the same way there. It is stricter in what
// TestReadResponseRejects lists.
func FuzzReadResponse(f *testing.F) {
	for _, text := range []string{
		"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n2;x=y\r\nok\r\n0\r\nA: 1\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\npragma: no-cache\r\n\r\nuntil the end",
		"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200\r\nconnection: close\r\nx-a: 1\r\nX-A:\t2 \r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n1\r\ny\r\n0\r\n\r\nrest",
	} {
		f.Add([]byte(text), false, byte(255))
		f.Add([]byte(text), true, byte(1))
	}
	f.Fuzz(func(t *testing.T, text []byte, head bool, step byte) {
		method := http.MethodGet
		if head {
			method = http.MethodHead
		}
		source := &stepReader{bytes.NewReader(text), int(step) + 1}
		got, err := receiveText(method, source)
		if err != nil {
			return
		}
		want, body, rest, err := readReference(method, text)
		if err != nil {
			t.Fatalf("net/http rejects it: %v", err)
		}
		if got.resp.StatusCode != want.StatusCode || got.resp.Status != want.Status || got.resp.Proto != want.Proto {
			t.Errorf("the status is %q, want %q", got.resp.Proto+" "+got.resp.Status, want.Proto+" "+want.Status)
		}
		if !reflect.DeepEqual(got.resp.Header, want.Header) {
			t.Errorf("the header is %q, want %q", got.resp.Header, want.Header)
		}
		if got.resp.ContentLength != want.ContentLength {
			t.Errorf("the length is %d, want %d", got.resp.ContentLength, want.ContentLength)
		}
		if got.body != body {
			t.Errorf("the body is %q, want %q", got.body, body)
		}
		if got.reused && (want.Close || source.Len() != rest) {
			t.Errorf("the connection is reused: net/http closes it, %v, or has read to %d from the end, not %d", want.Close, rest, source.Len())
		}
	})
}

// textBody is a request body in memory.
type textBody string

func (b textBody) Len() int64          { return int64(len(b)) }
func (b textBody) View() []byte        { return []byte(b) }
func (b textBody) Open() io.ReadCloser { return io.NopCloser(strings.NewReader(string(b))) }
func (b textBody) Release()            {}

// FuzzWriteRequest compares with net/http: it reads from a request what was written, and nothing else.
func FuzzWriteRequest(f *testing.F) {
	f.Add("POST", "/stream", "docsgpt:7091", "Content-Type", "application/json", "{}")
	f.Add("GET", "/api/x?a=b%20c", "[::1]:80", "User-Agent", "", "")
	f.Add("DELETE", "/", "localhost", "x-injected", "a\r\nHost: other", "body")
	f.Add("PATCH", "/a b", "ho st", "Content-Length", "3", strings.Repeat("long", 2000))
	f.Fuzz(func(t *testing.T, method, target, host, name, value, body string) {
		r := &Request{Method: method, Target: target, Host: host, Header: http.Header{name: {value}}, Body: textBody(body)}
		if r.check() != nil {
			return
		}
		if _, err := url.ParseRequestURI(target); err != nil {
			return
		}
		var out outgoing
		if err := out.prepare(r); err != nil {
			t.Fatal(err)
		}
		text := string(out.first[0]) + string(out.first[1]) + string(out.rest)
		out.release()
		br := bufio.NewReader(strings.NewReader(text))
		got, err := http.ReadRequest(br)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		read, err := io.ReadAll(got.Body)
		if err != nil || string(read) != body {
			t.Errorf("the body is %q, %v, want %q", read, err, body)
		}
		if _, err := br.Peek(1); err == nil {
			t.Errorf("something follows the request: %q", text)
		}
		if got.Method != method || got.RequestURI != target || got.Host != host {
			t.Errorf("the request is %s %s to %s", got.Method, got.RequestURI, got.Host)
		}
		delete(got.Header, "Content-Length")
		want := http.Header{}
		if canonical := textproto.CanonicalMIMEHeaderKey(name); !isReserved(canonical) && (canonical != "User-Agent" || value != "") {
			want[canonical] = []string{textproto.TrimString(value)}
		}
		if pragma := want["Pragma"]; len(pragma) > 0 && pragma[0] == "no-cache" {
			want["Cache-Control"] = pragma // by net/http
		}
		if !reflect.DeepEqual(got.Header, want) {
			t.Errorf("the header is %q, want %q", got.Header, want)
		}
	})
}
