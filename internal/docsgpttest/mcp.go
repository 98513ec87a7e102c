package docsgpttest

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// sessionHeader names the session of an MCP client.
const sessionHeader = "Mcp-Session-Id"

// Codes of JSON-RPC errors.
const (
	rpcParse   = -32700
	rpcRequest = -32600
	rpcMethod  = -32601
	rpcParams  = -32602
)

// sessions stores the sessions of MCP clients, which are not bound to a key. Call reset before the first use.
type sessions struct {
	mu   sync.Mutex
	byID map[string]*session
}

// session is the session of an MCP client.
type session struct {
	ended     chan struct{} // closed when the session is deleted
	listening bool
}

func (s *sessions) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.byID {
		close(one.ended)
	}
	s.byID = map[string]*session{}
}

func (s *sessions) get(id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byID[id]
}

func (s *sessions) open(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byID[id] = &session{ended: make(chan struct{})}
}

func (s *sessions) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.byID[id]; one != nil {
		close(one.ended)
		delete(s.byID, id)
	}
}

// listen registers a listener until stop is called. It returns false if the session already has one.
func (s *sessions) listen(one *session) (stop func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one.listening {
		return nil, false
	}
	one.listening = true
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		one.listening = false
	}, true
}

// mcp is /mcp and /mcp/: one tool, with the streamable HTTP transport. Only a call of the tool needs a key. A client that knows
// the id of a session can use and terminate it.
func (b *Backend) mcp(w http.ResponseWriter, r *request) {
	h := w.Header()
	for _, name := range []string{"Access-Control-Allow-Headers", "Access-Control-Allow-Methods"} {
		h.Del(name)
	}
	if r.Header.Get("Origin") == "" {
		h.Del("Access-Control-Allow-Origin")
	} else {
		h.Set("Access-Control-Expose-Headers", sessionHeader)
	}
	if isStateless(r) {
		b.mcpStateless(w, r)
		return
	}
	id := strings.Join(r.Header.Values(sessionHeader), ",")
	one := b.sessions.get(id)
	if id != "" && one == nil {
		writeRPCError(w, http.StatusNotFound, rpcRequest, "Session not found")
		return
	}
	if id == "" {
		id = newSession()
	}
	h.Set(sessionHeader, id) // error responses have one too, which is not valid
	switch {
	case r.Method == http.MethodPost:
		b.mcpMessage(w, r, one, id)
	case r.Method != http.MethodGet && r.Method != http.MethodDelete:
		h.Set("Allow", "GET, POST, DELETE")
		writeRPCError(w, http.StatusMethodNotAllowed, rpcRequest, "Method Not Allowed")
	case one == nil:
		writeRPCError(w, http.StatusBadRequest, rpcRequest, "Bad Request: Missing session ID")
	case r.Method == http.MethodDelete:
		b.sessions.end(id)
		writeBody(w, http.StatusOK, "application/json", nil)
	default:
		b.mcpListen(w, r, one)
	}
}

func newSession() string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails
	return hex.EncodeToString(raw[:])
}

// mcpListen is the stream for server messages. It sends only keepalives.
func (b *Backend) mcpListen(w http.ResponseWriter, r *request, one *session) {
	if !accepts(r, "text/event-stream") {
		writeRPCError(w, http.StatusNotAcceptable, rpcRequest, "Not Acceptable: Client must accept text/event-stream")
		return
	}
	stop, ok := b.sessions.listen(one)
	if !ok {
		writeRPCError(w, http.StatusConflict, rpcRequest, "Conflict: Only one SSE stream is allowed per session")
		return
	}
	defer stop()
	b.streams.Add(1)
	defer b.streams.Add(-1)
	e := newMCPWriter(w, r)
	e.write([]byte(": ping - 2026-11-23 06:13:54\r\n\r\n")) // DocsGPT sends it only after 15 s
	select {
	case <-one.ended:
	case <-r.Context().Done():
	}
}

// newMCPWriter starts a stream with the headers of DocsGPT's MCP server.
func newMCPWriter(w http.ResponseWriter, r *request) *eventWriter {
	e := &eventWriter{w: w, r: r, control: http.NewResponseController(w), json: dialect{comma: ",", colon: ":", raw: true}}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-cache, no-transform")
	w.Header().Set("X-Accel-Buffering", "no")
	w.WriteHeader(http.StatusOK)
	_ = e.control.Flush()
	return e
}

// mcpEvent returns the bytes of an event with a JSON-RPC response, with CRLF.
func mcpEvent(id any, name string, value any) []byte {
	data := dialect{comma: ",", colon: ":", raw: true}.dumps(object{{"jsonrpc", "2.0"}, {"id", id}, {name, value}})
	return fmt.Appendf(nil, "event: message\r\ndata: %s\r\n\r\n", data)
}

// accepts reports whether the header Accept contains a media type or */*.
func accepts(r *request, media string) bool {
	value := strings.Join(r.Header.Values("Accept"), ",")
	return strings.Contains(value, media) || strings.Contains(value, "*/*")
}

func writeRPCError(w http.ResponseWriter, status, code int, message string) {
	body := dialect{comma: ",", colon: ":", raw: true}.dumps(object{
		{"jsonrpc", "2.0"}, {"id", nil}, {"error", object{{"code", code}, {"message", message}}},
	})
	writeBody(w, status, "application/json", body)
}

// mcpMessage handles a message of a client. Unlike the endpoints of Flask it accepts chunked transfer encoding.
func (b *Backend) mcpMessage(w http.ResponseWriter, r *request, one *session, sessionID string) {
	if !isJSON(r.Header.Values("Content-Type")) {
		w.Header().Del(sessionHeader)
		writeBody(w, http.StatusBadRequest, "", []byte("Invalid Content-Type header"))
		return
	}
	if !accepts(r, "application/json") || !accepts(r, "text/event-stream") {
		writeRPCError(w, http.StatusNotAcceptable, rpcRequest,
			"Not Acceptable: Client must accept both application/json and text/event-stream")
		return
	}
	value, err := decodeJSON(r.sent)
	if err != nil {
		writeRPCError(w, http.StatusBadRequest, rpcParse, "Parse error: key must be a string at line 1 column 2")
		return
	}
	message, isObject := value.(map[string]any)
	method, isText := message["method"].(string)
	if !isObject || message["jsonrpc"] != "2.0" || !isText {
		writeRPCError(w, http.StatusBadRequest, rpcParams, "Validation error: 4 validation errors for union")
		return
	}
	if one == nil {
		if method != "initialize" {
			writeRPCError(w, http.StatusBadRequest, rpcRequest, "Bad Request: Missing session ID")
			return
		}
		b.sessions.open(sessionID)
	}
	id, isRequest := message["id"]
	if !isRequest {
		writeBody(w, http.StatusAccepted, "application/json", nil)
		return
	}
	params, _ := message["params"].(map[string]any)
	if method == "tools/call" {
		b.callTool(w, r, id, params)
		return
	}
	e := newMCPWriter(w, r)
	result, code, errMessage := mcpResult(method, params)
	if result == nil {
		e.write(mcpEvent(id, "error", object{{"code", code}, {"message", errMessage}, {"data", ""}}))
		return
	}
	e.write(mcpEvent(id, "result", result))
}

// mcpResult returns the result of a method that needs no key. A nil result is an error.
func mcpResult(method string, params map[string]any) (result any, code int, errMessage string) {
	switch method {
	case "initialize":
		version, isText := params["protocolVersion"].(string)
		client, _ := params["clientInfo"].(map[string]any)
		_, named := client["name"].(string)
		if _, able := params["capabilities"].(map[string]any); !isText || !named || !able {
			return nil, rpcParams, "Invalid request parameters"
		}
		return object{
			{"protocolVersion", version},
			{"capabilities", object{
				{"logging", object{}},
				{"prompts", object{{"listChanged", true}}},
				{"resources", object{{"subscribe", false}, {"listChanged", true}}},
				{"tools", object{{"listChanged", true}}},
			}},
			{"serverInfo", object{{"name", "docsgpt"}, {"version", "4.1.2"}}},
		}, 0, ""
	case "ping":
		return object{}, 0, ""
	case "tools/list":
		return object{{"tools", []any{object{
			{"description", "Search the caller's DocsGPT knowledge base."},
			{"inputSchema", object{
				{"properties", object{
					{"query", object{{"type", "string"}}},
					{"chunks", object{{"default", 5}, {"type", "integer"}}},
				}},
				{"required", []any{"query"}},
				{"type", "object"},
				{"additionalProperties", false},
			}},
			{"name", "search_docs"},
			{"title", "Search Docs"},
		}}}}, 0, ""
	case "resources/list":
		return object{{"resources", []any{}}}, 0, ""
	case "prompts/list":
		return object{{"prompts", []any{}}}, 0, ""
	default:
		return nil, rpcMethod, "Method not found"
	}
}

// callTool calls search_docs, the only tool. Errors, including an invalid key, are results with isError.
func (b *Backend) callTool(w http.ResponseWriter, r *request, id any, params map[string]any) {
	arguments, _ := params["arguments"].(map[string]any)
	query, isText := arguments["query"].(string)
	s := parseFaults(query)
	if !pause(r.Context(), s.wait) {
		return
	}
	if status, err := strconv.Atoi(s.fail); err == nil && status >= 400 && status <= 599 {
		writeRPCError(w, status, rpcRequest, http.StatusText(status))
		return
	}
	e := newMCPWriter(w, r)
	e.split = s.split
	failed := func(text string) {
		e.write(mcpEvent(id, "result", append(object{
			{"content", []any{object{{"text", text}, {"type", "text"}}}}, {"isError", true},
		}, resultType(r)...)))
	}
	if s.keepalive && !e.write([]byte(": ping\r\n\r\n")) {
		return
	}
	if s.noEnd {
		return
	}
	scheme, key, _ := strings.Cut(strings.Join(r.Header.Values("Authorization"), ","), " ")
	sources, known := b.agent(strings.TrimSpace(key))
	switch {
	case params["name"] != "search_docs":
		failed(fmt.Sprintf("Unknown tool: '%v'", params["name"]))
		return
	case !isText || !hasOnlyFields(arguments, "query", "chunks"):
		failed("1 validation error for call[search_docs]")
		return
	case !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(key) == "":
		failed("Error calling tool 'search_docs': Missing Bearer token")
		return
	case !known:
		failed("Error calling tool 'search_docs': Invalid API key")
		return
	case s.errorEvent:
		failed("Error calling tool 'search_docs': (psycopg.OperationalError) connection to 10.0.0.7 failed")
		return
	}
	if n, isNumber := arguments["chunks"].(json.Number); isNumber {
		if wanted, err := n.Int64(); err == nil && wanted < int64(len(sources)) {
			sources = sources[:max(wanted, 0)]
		}
	}
	found := make([]any, len(sources))
	for i, source := range sources {
		text := b.passage(source) + strings.Repeat("x", s.big)
		if s.unicode {
			text += " Grüße aus 東京 🦕"
		}
		found[i] = object{{"text", text}, {"title", b.opts.Sources[source]}, {"source", b.opts.Sources[source]}}
	}
	result := append(object{
		{"content", []any{object{{"text", string(spaced.dumps(found))}, {"type", "text"}}}},
		{"isError", false},
		{"structuredContent", object{{"result", found}}},
	}, resultType(r)...)
	event := mcpEvent(id, "result", result)
	if s.cut {
		e.write(event[:len(event)/2])
		panic(http.ErrAbortHandler)
	}
	if pause(r.Context(), s.gap) {
		e.write(event)
	}
}

func hasOnlyFields(object map[string]any, names ...string) bool {
	n := 0
	for _, name := range names {
		if _, found := object[name]; found {
			n++
		}
	}
	return n == len(object)
}
