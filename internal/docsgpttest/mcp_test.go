package docsgpttest_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/internal/docsgpttest"
)

// mcpServer is a running backend with an MCP client.
type mcpServer struct {
	*testing.T
	backend *docsgpttest.Backend
	url     string
}

func startMCP(t *testing.T) mcpServer {
	t.Helper()
	b := docsgpttest.New(docsgpttest.Options{
		Keys:    map[string][]string{"key-a": {"id-a"}, "key-b": {"id-b"}},
		Sources: map[string]string{"id-a": "alpha", "id-b": "beta"},
	})
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	return mcpServer{t, b, server.URL}
}

// do sends a request. headers are name, value pairs that replace the default ones; an empty value removes a header.
func (s mcpServer) do(method, path, session, body string, headers ...string) (status int, header http.Header, text string) {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if session != "" {
		r.Header.Set("Mcp-Session-Id", session)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(all)
}

const (
	mcpInitialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18",` +
		`"capabilities":{},"clientInfo":{"name":"x","version":"1"}}}`
	mcpPing   = `{"jsonrpc":"2.0","id":4,"method":"ping"}`
	mcpSearch = `{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"search_docs","arguments":{"query":"q"}}}`
)

// The responses are those of DocsGPT 1.1.0, verbatim if they are short.
func TestMCPResponses(t *testing.T) {
	s := startMCP(t)
	status, header, text := s.do("POST", "/mcp", "", mcpInitialize)
	id := header.Get("Mcp-Session-Id")
	if status != 200 || id == "" || !strings.HasPrefix(text, "event: message\r\ndata: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{") ||
		!strings.HasSuffix(text, "}\r\n\r\n") || header.Get("Access-Control-Allow-Origin") != "" {
		t.Fatalf("initialize without a credential: %d %v %q", status, header, text)
	}
	rpcError := func(code, message string) string {
		return `{"jsonrpc":"2.0","id":null,"error":{"code":` + code + `,"message":"` + message + `"}}`
	}
	event := func(rest string) string { return "event: message\r\ndata: {\"jsonrpc\":\"2.0\"," + rest + "}\r\n\r\n" }
	toolError := func(text string) string {
		return event(`"id":3,"result":{"content":[{"text":"Error calling tool 'search_docs': ` + text + `","type":"text"}],"isError":true}`)
	}
	for name, c := range map[string]struct {
		method, path, session, body string
		headers                     []string
		status                      int
		want                        string
	}{
		"ping":                 {"POST", "/mcp/", id, mcpPing, nil, 200, event(`"id":4,"result":{}`)},
		"escaped path":         {"POST", "/%6dcp", id, mcpPing, nil, 200, event(`"id":4,"result":{}`)},
		"notification":         {"POST", "/mcp", id, `{"jsonrpc":"2.0","method":"notifications/initialized"}`, nil, 202, ""},
		"no key":               {"POST", "/mcp", id, mcpSearch, nil, 200, toolError("Missing Bearer token")},
		"key without a scheme": {"POST", "/mcp", id, mcpSearch, []string{"Authorization", "key-a"}, 200, toolError("Missing Bearer token")},
		"invalid key":          {"POST", "/mcp", id, mcpSearch, []string{"Authorization", "Bearer x"}, 200, toolError("Invalid API key")},
		"no session":           {"POST", "/mcp", "", mcpPing, nil, 400, rpcError("-32600", "Bad Request: Missing session ID")},
		"unknown session":      {"POST", "/mcp", "nope", mcpPing, nil, 404, rpcError("-32600", "Session not found")},
		"Accept": {
			"POST", "/mcp", id, mcpPing,
			[]string{"Accept", "application/json"},
			406,
			rpcError("-32600", "Not Acceptable: Client must accept both application/json and text/event-stream"),
		},
		"another type":   {"POST", "/mcp", id, mcpPing, []string{"Content-Type", "text/plain"}, 400, "Invalid Content-Type header"},
		"another method": {"PUT", "/mcp", id, "", nil, 405, rpcError("-32600", "Method Not Allowed")},
	} {
		t.Run(name, func(t *testing.T) {
			if status, _, text := s.do(c.method, c.path, c.session, c.body, c.headers...); status != c.status || text != c.want {
				t.Errorf("got %d %q, want %d %q", status, text, c.status, c.want)
			}
		})
	}
	for body, want := range map[string]string{"[" + mcpPing + "]": "-32602", "{bad": "-32700"} {
		if status, _, text := s.do("POST", "/mcp", id, body); status != 400 || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", body, status, text)
		}
	}
	if status, _, _ := s.do("POST", "//mcp", id, mcpPing); status != 404 {
		t.Errorf("//mcp: %d", status)
	}
	_, header, _ = s.do("POST", "/mcp", id, mcpPing, "Origin", "https://docs.example.com")
	if header.Get("Access-Control-Allow-Origin") != "*" || header.Get("Access-Control-Expose-Headers") != "Mcp-Session-Id" {
		t.Errorf("with an origin: %v", header)
	}
	status, _, _ = s.do("OPTIONS", "/mcp", "", "", "Origin", "https://docs.example.com", "Access-Control-Request-Method", "POST",
		"Access-Control-Request-Headers", "mcp-protocol-version")
	if status != 400 {
		t.Errorf("a preflight that names mcp-protocol-version: %d", status)
	}
}

// A session is not bound to a key: clients with another key can use it, and clients without a key can terminate it.
func TestMCPSessionsAreShared(t *testing.T) {
	s := startMCP(t)
	_, header, _ := s.do("POST", "/mcp", "", mcpInitialize)
	id := header.Get("Mcp-Session-Id")
	for key, want := range map[string]string{"key-a": "alpha", "KEY-B": "beta"} {
		if _, _, text := s.do("POST", "/mcp", id, mcpSearch, "Authorization", "bearer "+key); !strings.Contains(text, `"title":"`+want+`"`) {
			t.Errorf("%s: %s", key, text)
		}
	}
	_, header, _ = s.do("POST", "/mcp", "", mcpPing)
	if status, _, _ := s.do("POST", "/mcp", header.Get("Mcp-Session-Id"), mcpPing); status != 404 {
		t.Errorf("the session of an error response is valid: %d", status)
	}
	if status, _, _ := s.do("DELETE", "/mcp", id, ""); status != 200 {
		t.Errorf("termination: %d", status)
	}
	if status, _, _ := s.do("POST", "/mcp", id, mcpPing); status != 404 {
		t.Errorf("after termination: %d", status)
	}
}

func TestMCPListen(t *testing.T) {
	s := startMCP(t)
	_, header, _ := s.do("POST", "/mcp", "", mcpInitialize)
	id := header.Get("Mcp-Session-Id")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/mcp", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Mcp-Session-Id", id)
	r.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if s.backend.OpenStreams() != 1 {
		t.Errorf("%d streams are open", s.backend.OpenStreams())
	}
	if status, _, _ := s.do("GET", "/mcp", id, ""); status != 409 {
		t.Errorf("a second listener: %d", status)
	}
	s.do("DELETE", "/mcp", id, "")
	if _, err := io.ReadAll(resp.Body); err != nil {
		t.Errorf("the stream did not end with its session: %v", err)
	}
}
