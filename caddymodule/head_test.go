package caddymodule_test

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// testHeadModes runs a test with both ways of forwarding and all endpoint groups that have GET endpoints.
func testHeadModes(t *testing.T, test func(t *testing.T, g *gate)) {
	t.Helper()
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			site = strings.Replace(site, "endpoints widget openai health", "endpoints widget openai mcp attachments artifacts health", 1)
			g.start(fmt.Sprintf(site, g.address, ""))
			test(t, g)
		})
	}
}

// stableHeader returns the headers that do not differ in each response.
func stableHeader(h http.Header) http.Header {
	h = maps.Clone(h)
	h.Del("Date")
	h.Del("X-Request-Id")
	return h
}

// HEAD has the status and the headers of GET, error responses included.
func TestHeadAsGet(t *testing.T) {
	testHeadModes(t, func(t *testing.T, g *gate) {
		own := g.ask("/api/answer", tokenAgent, "make one [[artifact]]", "").conversation(t)
		id := g.send(http.MethodGet, "/api/artifacts?conversation_id="+own+"&api_key="+tokenAgent, "").made(t).Artifacts[0].ID
		task := g.sendForm("/api/store_attachment", keyPart(tokenAgent), filePart("a.txt")).made(t).TaskID
		waitFor(t, "the task has ended", func() bool {
			return g.send(http.MethodGet, "/api/task_status?task_id="+task, "").made(t).Status == "SUCCESS"
		})
		query := "?api_key=" + tokenAgent + "&conversation_id=" + own
		for target, want := range map[string]int{
			"/api/health":                                      200,
			"//api/health":                                     200,
			"/v1/models/other":                                 404,
			"/v1/models":                                       200,
			"/v1/models?without=key":                           401,
			"/api/artifacts" + query:                           200,
			"/api/artifacts/" + id + query:                     200,
			"/api/artifacts/" + id + "/download" + query:       200,
			"/api/artifacts/" + id + "?conversation_id=" + own: 401,
			"/api/artifacts/x":                                 404,
			"/api/task_status?task_id=" + task:                 200,
			"/api/task_status?task_id=other":                   404,
			"/api/get_agents":                                  404,
			"/stream":                                          405,
		} {
			t.Run(target, func(t *testing.T) {
				var headers []string
				if strings.HasPrefix(target, "/v1/") && want != http.StatusUnauthorized {
					headers = []string{"Authorization", "Bearer " + tokenAgent}
				}
				get, head := g.send(http.MethodGet, target, "", headers...), g.send(http.MethodHead, target, "", headers...)
				if get.status != want || head.status != want || head.body != "" {
					t.Errorf("GET %d, HEAD %d %q", get.status, head.status, head.body)
				}
				if g, h := stableHeader(get.header), stableHeader(head.header); !maps.EqualFunc(g, h, slices.Equal) {
					t.Errorf("GET  %v\nHEAD %v", g, h)
				}
				if length := head.header.Get("Content-Length"); length != strconv.Itoa(len(get.body)) {
					t.Errorf("length %s of %d", length, len(get.body))
				}
			})
		}
	})
}

// No body follows on the connection, so that it can be used again.
func TestHeadKeepsConnection(t *testing.T) {
	testHeadModes(t, func(t *testing.T, g *gate) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(g.urls[0], "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		reader := bufio.NewReader(conn)
		for _, call := range []string{"HEAD /api/health", "HEAD /api/get_agents", "HEAD /v1/models", "HEAD /mcp", "GET /api/health"} {
			method, path, _ := strings.Cut(call, " ")
			r, err := http.NewRequest(method, g.urls[0]+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Write(conn); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(reader, r)
			if err != nil {
				t.Fatalf("%s: %v", call, err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil || (len(body) > 0) != (method == http.MethodGet) {
				t.Errorf("%s: %q, %v", call, body, err)
			}
		}
	})
}

// A listening stream has no headers of interest, so HEAD opens none.
func TestHeadOpensNoServerStream(t *testing.T) {
	testHeadModes(t, func(t *testing.T, g *gate) {
		session := g.session(tokenAgent)
		before := len(g.backend.Calls())
		r := g.send(http.MethodHead, "/mcp", "", g.mcpHeaders(tokenAgent, session)...)
		if allow := r.header.Get("Allow"); r.status != http.StatusMethodNotAllowed || allow != "POST, GET, DELETE, OPTIONS" {
			t.Errorf("%d, Allow %q", r.status, allow)
		}
		if calls := len(g.backend.Calls()); calls != before {
			t.Errorf("DocsGPT got %d requests", calls-before)
		}
	})
}

func TestHeadAllowed(t *testing.T) {
	testHeadModes(t, func(t *testing.T, g *gate) {
		for path, want := range map[string]string{
			"/api/health": "GET, HEAD, OPTIONS", "/v1/models": "GET, HEAD, OPTIONS", "/stream": "POST, OPTIONS",
		} {
			preflight := g.send(http.MethodOptions, path, "", "Origin", "https://docs.example.com", "Access-Control-Request-Method", "HEAD")
			if methods := preflight.header.Get("Access-Control-Allow-Methods"); methods != want {
				t.Errorf("%s: preflight %q", path, methods)
			}
			if allow := g.send(http.MethodPatch, path, "").header.Get("Allow"); allow != want {
				t.Errorf("%s: Allow %q", path, allow)
			}
		}
	})
}

// HEAD of a large file ends after the headers, without the file being read from DocsGPT.
func TestHeadOfLargeFile(t *testing.T) {
	g := newGate(t)
	const size = 64 << 20
	sent := make(chan int, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/download") {
			g.backend.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(size))
		w.Header().Set("Content-Type", "application/pdf")
		total, piece := 0, make([]byte, 1<<20)
		for total < size {
			n, err := w.Write(piece)
			if total += n; err != nil {
				break
			}
		}
		sent <- total
	}))
	t.Cleanup(server.Close)
	g.start(fmt.Sprintf(fileSite(forwardModes["built-in"]), strings.TrimPrefix(server.URL, "http://"), ""))
	own := g.ask("/api/answer", tokenAgent, "make one [[artifact]]", "").conversation(t)
	id := g.send(http.MethodGet, "/api/artifacts?conversation_id="+own+"&api_key="+tokenAgent, "").made(t).Artifacts[0].ID
	r := g.send(http.MethodHead, "/api/artifacts/"+id+"/download?api_key="+tokenAgent+"&conversation_id="+own, "")
	if r.status != http.StatusOK || r.header.Get("Content-Length") != strconv.Itoa(size) {
		t.Errorf("%d %v", r.status, r.header)
	}
	select {
	case total := <-sent:
		if total == size {
			t.Error("the whole file was read")
		}
	case <-time.After(20 * time.Second):
		t.Error("DocsGPT's response was not ended")
	}
}
