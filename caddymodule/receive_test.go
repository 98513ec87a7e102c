package caddymodule_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// rawRequest is a request on a separate connection. Only a part of its body is sent.
type rawRequest struct {
	t    *testing.T
	conn net.Conn
}

// startRaw sends a header with a length, and the beginning of a body.
func (g *gate) startRaw(path string, length int, body string, headers ...string) *rawRequest {
	g.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.urls[0], "http://"))
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { conn.Close() })
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: gate\r\nContent-Length: %d\r\n", path, length)
	for i := 0; i < len(headers); i += 2 {
		head += headers[i] + ": " + headers[i+1] + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"+body); err != nil {
		g.t.Log("sending: ", err) // the response may have been sent already
	}
	return &rawRequest{g.t, conn}
}

// response reads the response, which must not require the rest of the body.
func (r *rawRequest) response() response {
	r.t.Helper()
	if err := r.conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		r.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(r.conn), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if resp.Close {
		resp.Header.Set("Connection", "close")
	}
	return response{resp.StatusCode, resp.Header, string(body)}
}

const formType = "multipart/form-data; boundary=" + edge

// A request that can be rejected by its header is rejected without reading its body: the body may never arrive, or the client may
// wait for 100 Continue.
func TestRejectedBeforeBody(t *testing.T) {
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			g.start(fmt.Sprintf(strings.Replace(site, "widget openai health", "widget openai mcp attachments", 1), g.address, ""))
			for name, c := range map[string]struct {
				path    string
				length  int
				headers []string
				status  int
				code    string
			}{
				"completions, a wrong token": {
					"/v1/chat/completions", 1000, []string{"Authorization", "Bearer wrong", "Content-Type", "application/json"}, 401, "invalid_api_key",
				},
				"completions, no token": {"/v1/chat/completions", 1000, []string{"Content-Type", "application/json"}, 401, "invalid_api_key"},
				"completions, a large body": {
					"/v1/chat/completions", 3 << 20, []string{"Authorization", "Bearer " + tokenOld, "Content-Type", "application/json"}, 401, "invalid_api_key",
				},
				"MCP, a wrong token": {
					"/mcp/", 1000, []string{"Authorization", "Bearer wrong", "Content-Type", "application/json"}, 401, "",
				},
				"an upload with a wrong token in the query": {
					"/api/store_attachment?api_key=wrong", 1000, []string{"Content-Type", formType}, 401, "invalid_api_key",
				},
				"an unknown path": {"/api/upload", 1000, nil, 404, "not_found"},
				"a type":          {"/api/answer", 1000, []string{"Content-Type", "text/plain"}, 415, "not_json"},
				"a length":        {"/api/answer", 5 << 20, []string{"Content-Type", "application/json"}, 413, "body_too_large"},
			} {
				for how, more := range map[string][]string{"sent at once": nil, "sent when told": {"Expect", "100-continue"}} {
					t.Run(name+", "+how, func(t *testing.T) {
						r := g.startRaw(c.path, c.length, "", append(more, c.headers...)...).response()
						if r.status != c.status {
							t.Errorf("status %d, want %d: %s", r.status, c.status, r.body)
						}
						if c.code != "" {
							checkErrorFormat(t, c.path, r, c.code)
						}
						if r.header.Get("Connection") != "close" {
							t.Error("the connection stays open, and its client may take the rest of the body for the next request")
						}
					})
				}
			}
			r := g.send(http.MethodPost, "/api/answer", `{"question":"q","api_key":"wrong"}`)
			if r.status != http.StatusUnauthorized || r.header.Get("Connection") != "" {
				t.Errorf("a body that was read: %d, connection %q", r.status, r.header.Get("Connection"))
			}
			if calls := g.backend.Calls(); len(calls) > 0 {
				t.Errorf("DocsGPT got %s %s", calls[0].Method, calls[0].Path)
			}
		})
	}
}

// A rejected request with a small body leaves its connection usable, also if the body arrives after its header. So clients with a wrong
// key do not open a connection for each request.
func TestRejectionKeepsConnection(t *testing.T) {
	eachForwardingWithPolicy(t, "", "", func(t *testing.T, g *gate) {
		const body = `{"model":"docsgpt","messages":[{"role":"user","content":"q"}]}`
		head := fmt.Sprintf("POST /v1/chat/completions HTTP/1.1\r\nHost: gate\r\nAuthorization: Bearer wrong\r\nContent-Type: application/json\r\n"+
			"Content-Length: %d\r\n\r\n", len(body))
		// On a busy machine the rest of a body can take longer than the gate waits for it.
		for attempt := 1; ; attempt++ {
			kept := sendParts(t, g, [][]string{{head + body}, {head, body[:10], body[10:]}, {head + body}})
			if kept == 3 {
				return
			}
			if attempt == 20 {
				t.Fatalf("the connection was closed after %d of 3 requests", kept)
			}
		}
	})
}

// sendParts sends requests, each in parts, on one connection until it is closed. All must be rejected. It returns after how many the
// connection was kept.
func sendParts(t *testing.T, g *gate, requests [][]string) (kept int) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(g.urls[0], "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	for _, parts := range requests {
		for i, part := range parts {
			if i > 0 {
				time.Sleep(5 * time.Millisecond) // so that the gate reads them one after another
			}
			if _, err := io.WriteString(conn, part); err != nil {
				t.Fatal(err)
			}
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusUnauthorized {
			t.Fatalf("status %d, %v", resp.StatusCode, err)
		}
		if resp.Close {
			return kept
		}
		kept++
	}
	return kept
}

// stalledUploads are requests whose bodies are not completed.
type stalledUploads struct {
	replies chan response
	stop    context.CancelFunc
	group   sync.WaitGroup
}

// startStalledUploads starts n requests, and sends the text begin of each body.
func (g *gate) startStalledUploads(n int, client *http.Client, path, media, begin string) *stalledUploads {
	g.t.Helper()
	ctx, stop := context.WithCancel(g.t.Context())
	c := &stalledUploads{replies: make(chan response, n), stop: stop}
	for range n {
		sent, over := make(chan struct{}), make(chan struct{})
		c.group.Go(func() {
			defer close(over)
			body := io.MultiReader(strings.NewReader(begin), signalReader{sent}, blockingReader{ctx})
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, g.urls[0]+path, body)
			if err != nil {
				g.t.Error(err)
				return
			}
			r.Header.Set("Content-Type", media)
			resp, err := client.Do(r)
			if err != nil {
				return // stopped, or the connection was closed before the response was read
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			if err == nil {
				c.replies <- response{resp.StatusCode, resp.Header, string(text)}
			}
		})
		select {
		case <-sent:
		case <-over: // it was already rejected
		}
	}
	return c
}

// rejected returns the response to a request that was evicted.
func (c *stalledUploads) rejected(t *testing.T) response {
	t.Helper()
	var r response
	waitFor(t, "one is rejected", func() bool {
		select {
		case r = <-c.replies:
			return true
		default:
			return false
		}
	})
	return r
}

// end cancels all requests and waits for them.
func (c *stalledUploads) end() {
	c.stop()
	c.group.Wait()
}

// signalReader is an empty reader that signals when it is read.
type signalReader struct{ read chan struct{} }

func (s signalReader) Read([]byte) (int, error) {
	close(s.read)
	return 0, io.EOF
}

// newClients returns a client for each protocol, with separate connections.
func newClients(t *testing.T) map[string]*http.Client {
	t.Helper()
	var h1, h2 http.Protocols
	h1.SetHTTP1(true)
	h2.SetUnencryptedHTTP2(true)
	made := map[string]*http.Client{}
	for name, protocols := range map[string]*http.Protocols{"HTTP/1.1": &h1, "HTTP/2": &h2} {
		transport := &http.Transport{Protocols: protocols}
		t.Cleanup(transport.CloseIdleConnections)
		made[name] = &http.Client{Transport: transport}
	}
	return made
}

// withHTTP2 enables HTTP/2 without TLS.
func (g *gate) withHTTP2() { g.servers = "protocols h1 h2c" }

// Uploads without a valid key do not block an upload with a valid key, regardless of the key's position in the form.
func TestUnauthenticatedUploadsDoNotBlockOthers(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			g.withHTTP2()
			g.global = "max_upload_disk 8MiB"
			g.start(fmt.Sprintf(fileSite(site), g.address, "max_upload_size 2MiB"))
			for protocol, client := range newClients(t) {
				for what, size := range map[string]int{"slots": 400 << 10, "the disk": 1900 << 10} {
					t.Run(what+", "+protocol, func(t *testing.T) {
						begin, _, _ := strings.Cut(formPart(`name="file"; filename="a.txt"`, strings.Repeat("x", size)+"|"), "|")
						crowd := g.startStalledUploads(40, client, "/api/store_attachment", formType, begin)
						defer crowd.end()
						r := crowd.rejected(t)
						if r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" {
							t.Errorf("one that has no place: %d %v", r.status, r.header)
						}
						checkErrorFormat(t, "/api/store_attachment", r, "busy")
						large := formPart(`name="file"; filename="b.txt"`, strings.Repeat("y", 300<<10))
						for where, parts := range map[string][]string{
							"first": {keyPart(tokenAgent), large}, "last": {large, keyPart(tokenAgent)}, "query": {large},
						} {
							path := "/api/store_attachment"
							if where == "query" {
								path += "?api_key=" + tokenAgent
							}
							r := g.sendForm(path, parts...)
							if where == "last" { // until the crowd has arrived, its requests may evict this one, too
								waitFor(t, "the upload is not evicted", func() bool {
									if r.status == http.StatusServiceUnavailable {
										r = g.sendForm(path, parts...)
									}
									return r.status != http.StatusServiceUnavailable
								})
							}
							if r.status != http.StatusOK {
								t.Errorf("key %s: %d %s", where, r.status, r.body)
							}
						}
						if files, bytes := spooledUploads(t, dir); runtime.GOOS == "linux" && (files > 16 || bytes > 3<<20) {
							t.Errorf("without a key %d files with %d bytes are held", files, bytes)
						}
						crowd.end()
						waitFor(t, "all files are closed", func() bool { return openFiles(t, dir) == 0 })
					})
				}
			}
		})
	}
}

// spooledUploads returns the number and the total size of uploads in files.
func spooledUploads(t *testing.T, dir string) (files int, bytes int64) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0, 0
	}
	for _, e := range entries {
		path := "/proc/self/fd/" + e.Name()
		if to, err := os.Readlink(path); err != nil || !strings.HasPrefix(to, dir+"/docsgate-upload-") {
			continue
		}
		if info, err := os.Stat(path); err == nil {
			files++
			bytes += info.Size()
		}
	}
	return files, bytes
}

// Large incomplete bodies use limited memory, and do not block small bodies or those of other keys.
func TestUnauthenticatedBodiesMemoryLimit(t *testing.T) {
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			g.withHTTP2()
			g.start(fmt.Sprintf(site, g.address, "max_text_size 2MiB"))
			begin := `{"question":"` + strings.Repeat("x", 900<<10)
			for protocol, client := range newClients(t) {
				t.Run(protocol, func(t *testing.T) {
					before := heapInUse()
					crowd := g.startStalledUploads(80, client, "/api/answer", "application/json", begin)
					defer crowd.end()
					r := crowd.rejected(t)
					if r.status != http.StatusServiceUnavailable || r.header.Get("Retry-After") == "" {
						t.Errorf("one that has no place: %d %v", r.status, r.header)
					}
					checkErrorFormat(t, "/api/answer", r, "busy")
					for what, size := range map[string]int{"small": 10, "large": 1 << 20} {
						r := g.ask("/api/answer", tokenAgent, strings.Repeat("y", size), "")
						if what == "large" { // until the crowd has arrived, its requests may evict this one, too
							waitFor(t, "the body is not evicted", func() bool {
								if r.status == http.StatusServiceUnavailable {
									r = g.ask("/api/answer", tokenAgent, strings.Repeat("y", size), "")
								}
								return r.status != http.StatusServiceUnavailable
							})
						}
						if r.status != http.StatusOK {
							t.Errorf("a %s one: %d %s", what, r.status, r.body)
						}
					}
					most := int64(48 << 20)
					if protocol == "HTTP/2" {
						most += 80 * 512 << 10 // memory of Go's client for each request
					}
					waitFor(t, "the memory of the others is free", func() bool { return heapInUse() < before+most })
					t.Logf("%d MiB for 80 bodies of 0.9 MiB", (heapInUse()-before)>>20)
				})
			}
		})
	}
}

// heapInUse returns the size of the heap in use.
func heapInUse() int64 {
	for range 3 {
		runtime.GC() // empties the pools, too
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A stalled body ends with Caddy's own read timeout. The error response has the format of the client.
func TestStalledBodyRejected(t *testing.T) {
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			g.servers = "timeouts {\nread_body 50ms\n}"
			g.start(fmt.Sprintf(strings.Replace(site, "widget openai health", "widget openai attachments", 1), g.address, ""))
			for path, c := range map[string]struct{ media, begin string }{
				"/stream":               {"application/json", `{"question":`},
				"/v1/chat/completions":  {"application/json", `{"messages":`},
				"/api/store_attachment": {formType, filePart("a.txt")},
			} {
				r := g.startRaw(path, 1000, c.begin, "Content-Type", c.media, "Authorization", "Bearer "+tokenAgent).response()
				if r.status != http.StatusRequestTimeout || r.header.Get("Retry-After") == "" {
					t.Errorf("%s: %d %s", path, r.status, r.body)
				}
				checkErrorFormat(t, path, r, "body_too_slow")
			}
			if calls := g.backend.Calls(); len(calls) > 0 {
				t.Errorf("DocsGPT got %s %s", calls[0].Method, calls[0].Path)
			}
		})
	}
}

// A body that was slow, or rejected, does not affect the next request on the connection.
func TestConnectionReusedAfterBody(t *testing.T) {
	testForwardModes(t, "", func(t *testing.T, g *gate) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(g.urls[0], "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		reader := bufio.NewReader(conn)
		for i := range 4 {
			token := tokenAgent
			if i%2 == 1 {
				token = "wrong"
			}
			body := `{"question":"q","api_key":"` + token + `"}`
			for _, piece := range []string{
				"POST /api/answer HTTP/1.1\r\nHost: gate\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n",
				body[:10], body[10:],
			} {
				if _, err := io.WriteString(conn, piece); err != nil {
					t.Fatal(err)
				}
			}
			resp, err := http.ReadResponse(reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			text, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if want := []int{200, 401}[i%2]; err != nil || resp.StatusCode != want {
				t.Errorf("request %d: %d %s %v", i, resp.StatusCode, text, err)
			}
		}
	})
}

// A disk budget that is too small for one upload is an error. A new configuration replaces the budget.
func TestUploadBudget(t *testing.T) {
	g := newGate(t)
	site := fmt.Sprintf(fileSite(forwardModes["built-in"]), g.address, "max_upload_size 2MiB")
	g.global = "max_upload_disk 7MiB"
	err := g.load(g.config(site))
	if err == nil || !strings.Contains(err.Error(), "max_upload_disk is 7.0 MiB") || !strings.Contains(err.Error(), "at least 8.0 MiB") {
		t.Errorf("%v", err)
	}
	g.global = "max_upload_disk 8MiB"
	g.start(site)
	large := formPart(`name="file"; filename="a.txt"`, strings.Repeat("x", 1900<<10))
	if r := g.sendForm("/api/store_attachment", large, keyPart(tokenAgent)); r.status != http.StatusOK {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// A client that sends its whole upload before it reads gets the error response, regardless of the size: the connection is not
// reset.
func TestErrorResponseWhileClientSends(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	testUploadModes(t, "max_upload_size 1MiB", func(t *testing.T, g *gate) {
		const size = 32 << 20 // more than the buffers of a loopback connection
		for name, announced := range map[string]bool{"announced": true, "chunked": false} {
			var conn net.Conn
			dialer := net.Dialer{}
			conn, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(g.urls[0], "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			head := "POST /api/store_attachment HTTP/1.1\r\nHost: " + strings.TrimPrefix(g.urls[0], "http://") +
				"\r\nContent-Type: multipart/form-data; boundary=" + edge + "\r\n"
			begin := keyPart(tokenAgent) + "--" + edge + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\n"
			if announced {
				head += fmt.Sprintf("Content-Length: %d\r\n\r\n", size+len(begin))
			} else {
				head += "Transfer-Encoding: chunked\r\n\r\n" + fmt.Sprintf("%x\r\n", size+len(begin))
			}
			if _, err := io.WriteString(conn, head+begin); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if _, err := io.CopyN(conn, &zeroReader{size}, size); err != nil {
				t.Errorf("%s: sending: %v", name, err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Errorf("%s: reading the response: %v", name, err)
				continue
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("%s: status %d", name, resp.StatusCode)
			}
		}
	})
}
