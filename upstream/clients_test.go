package upstream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

// Requests and responses are the same with both clients, so that it does not matter which one sends a request.
func TestClientsAgree(t *testing.T) {
	type result struct {
		Requests, Status string
		Length           int64
		Header           http.Header
		Body             string
		Err              error
	}
	kinds := []error{ErrUnavailable, ErrTimeout, ErrTruncated, ErrIdleTimeout}
	for name, c := range map[string]struct {
		request  Request
		body     []byte
		response string
		hold     bool // the connection stays open after the response
	}{
		"a length":              {response: "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok", hold: true},
		"chunks":                {response: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n3\r\nyes\r\n0\r\n\r\n", hold: true},
		"trailers":              {response: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n2\r\nok\r\n0\r\nA: 1\r\n\r\n", hold: true},
		"to the end":            {response: "HTTP/1.1 200 OK\r\n\r\nok"},
		"HTTP/1.0":              {response: "HTTP/1.0 200 OK\r\nX-A: 1\r\nx-a: 2\r\n\r\nok"},
		"close":                 {response: "HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno"},
		"no content":            {response: "HTTP/1.1 204 No Content\r\n\r\n", hold: true},
		"not modified":          {response: "HTTP/1.1 304 Not Modified\r\nETag: x\r\nContent-Length: 5\r\n\r\n", hold: true},
		"informational":         {response: "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", hold: true},
		"a large header":        {response: "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 20_000) + "\r\nContent-Length: 2\r\n\r\nok", hold: true},
		"compressed":            {response: "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nok", hold: true},
		"a redirect":            {response: "HTTP/1.1 307 Temporary Redirect\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", hold: true},
		"a truncated length":    {response: "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok"},
		"a truncated chunk":     {response: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nok"},
		"no last chunk":         {response: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"},
		"a malformed chunk":     {response: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nokay\r\n"},
		"no response":           {response: ""},
		"a truncated header":    {response: "HTTP/1.1 200 OK\r\nA: 1\r\n"},
		"another protocol":      {response: "SSH-2.0-OpenSSH_9.2\r\n"},
		"two lengths":           {response: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok"},
		"another encoding":      {response: "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
		"HEAD":                  {request: Request{Method: "HEAD"}, response: "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", hold: true},
		"GET with a query":      {request: Request{Method: "GET", Path: "/a b/é", Query: "q=%20&x"}, response: answer, hold: true},
		"POST without a body":   {request: Request{Header: http.Header{"X": {"1", "2"}, "User-Agent": {""}}}, response: answer, hold: true},
		"POST with a body":      {request: Request{Header: http.Header{"User-Agent": {"x"}}}, body: []byte("{}"), response: answer, hold: true},
		"a large body":          {body: long[:1<<20], response: answer, hold: true},
		"fields of connections": {request: Request{Header: http.Header{"Content-Length": {"7"}, "Transfer-Encoding": {"chunked"}, "Host": {"other"}, "Trailer": {"A"}}}, body: []byte("{}"), response: answer, hold: true},
		"an invalid value":      {request: Request{Header: http.Header{"A": {"1\r\nB: 2"}}}},
		"an invalid name":       {request: Request{Header: http.Header{"A\r\nB": {"1"}}}},
		"an invalid method":     {request: Request{Method: "GET /"}},
	} {
		t.Run(name, func(t *testing.T) {
			var results []result
			forEachClient(t, func(t *testing.T, connect connectFunc) {
				var got result
				address := raw(t, func(_ int, nc net.Conn) {
					r, err := http.ReadRequest(bufio.NewReader(nc))
					if err != nil {
						return
					}
					body, _ := io.ReadAll(r.Body)
					r.Header.Del("User-Agent") // http.Transport has a default one
					got.Requests += fmt.Sprint(r.Method, r.RequestURI, r.Header, r.TransferEncoding, r.ContentLength, len(body))
					_, _ = io.WriteString(nc, c.response)
					if c.hold {
						_, _ = nc.Read(make([]byte, 1))
					}
				})
				u := connect(t, address, func(c *Config) { c.ResponseHeaderTimeout = time.Minute })
				r := c.request
				if r.Header = r.Header.Clone(); r.Header == nil {
					r.Header = http.Header{}
				}
				if r.Method == "" {
					r.Method = http.MethodPost
				}
				if r.Path == "" {
					r.Path = "/stream"
				}
				if c.body != nil {
					buffer := NewBuffer(len(c.body))
					buffer.Bytes = append(buffer.Bytes, c.body...)
					r.Body = buffer
				}
				resp, err := u.Send(t.Context(), func(error) {}, r)
				if err == nil {
					got.Status, got.Length, got.Header = resp.Proto+" "+resp.Status, resp.ContentLength, resp.Header
					err = Copy(t.Context(), func(error) {}, resp.Body, time.Minute, SinkFunc(func(p []byte) error {
						got.Body += string(p)
						return nil
					}))
					resp.Body.Close()
				}
				for _, kind := range kinds {
					if errors.Is(err, kind) {
						got.Err = kind
					}
				}
				if err != nil && got.Err == nil {
					t.Errorf("got %v", err)
				}
				u.Close()
				results = append(results, got)
			})
			if len(results) == 2 && !reflect.DeepEqual(results[0], results[1]) {
				t.Errorf("the clients differ:\n%+v\n%+v", results[0], results[1])
			}
		})
	}
}
