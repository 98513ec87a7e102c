package docsgpttest

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

func openAIError(message, kind string) fields {
	return fields{"error": fields{"message": message, "type": kind}}
}

// agentBearer returns the agent key of a request to /v1. The scheme is case-sensitive and followed by a space. If the header is
// invalid, it writes the error response and returns false.
func (b *Backend) agentBearer(w http.ResponseWriter, r *request) (key string, ok bool) {
	key, found := strings.CutPrefix(strings.Join(r.Header.Values("Authorization"), ","), "Bearer ")
	if !found {
		writeJSON(w, http.StatusUnauthorized, openAIError("Missing Authorization header", "auth_error"))
		return "", false
	}
	return strings.TrimSpace(key), true
}

func writeInvalidAgentKey(w http.ResponseWriter) {
	writeJSON(w, http.StatusUnauthorized, openAIError("Invalid API key", "auth_error"))
}

// models is GET /v1/models. It lists only the agent of the key.
func (b *Backend) models(w http.ResponseWriter, r *request) {
	key, ok := b.agentBearer(w, r)
	if !ok {
		return
	}
	sources, known := b.agent(key)
	if !known {
		writeInvalidAgentKey(w)
		return
	}
	writeJSON(w, http.StatusOK, fields{"object": "list", "data": []any{fields{
		"created": b.started.Unix(), "description": b.opts.Label, "id": uuidOf(strings.ToLower(key)),
		"name": b.agentName(sources), "object": "model", "owned_by": "docsgpt",
	}}})
}

// agentName returns the name of an agent, which is the title of its first source.
func (b *Backend) agentName(sources []string) string {
	if len(sources) == 0 {
		return b.opts.Label
	}
	return b.opts.Sources[sources[0]]
}

// completion is one request to /v1/chat/completions.
type completion struct {
	chat
	model     string
	created   int64
	replayKey string // agent key and Idempotency-Key; empty: not idempotent
	stream    bool
	usage     bool // the stream includes token usage
}

// completions is POST /v1/chat/completions. Only the key determines the sources; the body does not.
func (b *Backend) completions(w http.ResponseWriter, r *request) {
	key, ok := b.agentBearer(w, r)
	if !ok {
		return
	}
	value, ok := r.json(w, true)
	if !ok {
		return
	}
	body, isObject := value.(map[string]any)
	switch {
	case !isObject && truthy(value):
		writeInternalError(w, true)
		return
	case !truthy(body["messages"]):
		writeJSON(w, http.StatusBadRequest, openAIError("messages field is required", "invalid_request"))
		return
	}
	sources, known := b.agent(key)
	if !known {
		writeInvalidAgentKey(w)
		return
	}
	c := completion{chat: chat{sources: sources}, model: b.agentName(sources), created: time.Now().Unix()}
	c.stream, _ = body["stream"].(bool)
	options, _ := body["stream_options"].(map[string]any)
	c.usage, _ = options["include_usage"].(bool)
	if id := r.Header.Get("Idempotency-Key"); id != "" {
		c.replayKey = strings.ToLower(key) + "\n" + id
	}
	if !c.readMessages(body["messages"]) {
		writeJSON(w, http.StatusBadRequest, openAIError("Failed to process request", "invalid_request"))
		return
	}
	if !b.joinSession(w, r, &c, body, key) {
		return
	}
	if c.stream {
		b.streamCompletion(w, r, c)
		return
	}
	b.wholeCompletion(w, r, c)
}

// readMessages uses the last message of the user as the question. If the last message is the result of a tool, no sources are
// searched.
func (c *completion) readMessages(value any) bool {
	list, isList := value.([]any)
	if !isList {
		return false
	}
	for _, item := range list {
		m, isObject := item.(map[string]any)
		if !isObject {
			return false
		}
		if m["role"] == "user" {
			c.turns++
			c.asked = messageText(m["content"])
		}
	}
	if last, _ := list[len(list)-1].(map[string]any); last["role"] == "tool" {
		c.sources = nil
	}
	return true
}

func messageText(content any) string {
	parts, isList := content.([]any)
	if !isList {
		return text(content)
	}
	var texts []string
	for _, item := range parts {
		if part, isObject := item.(map[string]any); isObject && part["type"] == "text" {
			texts = append(texts, text(part["text"]))
		}
	}
	return strings.Join(texts, " ")
}

// joinSession determines the conversation: a given id must belong to the agent; questions of one session share a conversation.
func (b *Backend) joinSession(w http.ResponseWriter, r *request, c *completion, body map[string]any, key string) bool {
	extra, _ := body["docsgpt"].(map[string]any)
	id, fresh := "", true
	if named := firstTruthy(body["conversation_id"], extra["conversation_id"]); named != nil {
		id, fresh = text(named), false
	} else if session := firstTruthy(r.Header.Get("X-Session-Id"), r.Header.Get("X-Docsgpt-Session-Id"),
		r.Header.Get("X-Session-Affinity"), extra["session_id"]); session != nil {
		id = b.chats.session(strings.ToLower(key)+"\n"+text(session), newUUID())
	} else {
		id = newUUID()
	}
	chat, known := b.chats.get(id)
	if !fresh && (!known || !strings.EqualFold(chat.agent, key)) {
		e := openAIError("Conversation not found for the authenticated agent.", "invalid_request_error")
		e["error"].(fields)["code"] = "conversation_not_found"
		writeJSON(w, http.StatusBadRequest, e)
		return false
	}
	if known {
		c.turns = max(c.turns, chat.turns+1)
	}
	c.id = id
	b.chats.put(id, conversation{agent: key, turns: c.turns})
	return true
}

func firstTruthy(values ...any) any {
	for _, v := range values {
		if truthy(v) {
			return v
		}
	}
	return nil
}

func (b *Backend) wholeCompletion(w http.ResponseWriter, r *request, c completion) {
	s := parseFaults(c.asked)
	if !applyFaults(w, r, s, formatOpenAI) || !pause(r.Context(), s.gap) {
		return
	}
	if s.errorEvent {
		writeJSON(w, http.StatusInternalServerError, openAIError(msgTryLater, "server_error"))
		return
	}
	if answer, known := b.replay(c.replayKey, nil); known {
		writeBody(w, http.StatusOK, "application/json", answer)
		return
	}
	list := b.pieces(c.chat, s)
	answer := fields{
		"choices": []any{fields{
			"finish_reason": "stop", "index": 0,
			"message": fields{"content": strings.Join(list, ""), "role": "assistant"},
		}},
		"created": c.created,
		"docsgpt": fields{
			"conversation_id": c.id, "fallback": false, "model": b.modelName(), "provider": provider,
			"models":  []any{fields{"fallback": false, "model": b.modelName(), "provider": provider}},
			"sources": b.passages(c.sources),
		},
		"id": "chatcmpl-" + c.id, "model": c.model, "object": "chat.completion", "usage": usage(c.asked, list),
	}
	b.replay(c.replayKey, append(compact.dumps(answer), '\n'))
	writeAnswer(w, s, answer)
}

// replay returns the stored response of a key. If there is none, it stores fresh, unless that is nil.
func (b *Backend) replay(key string, fresh []byte) (response []byte, known bool) {
	if key == "" {
		return nil, false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	response, known = b.replays[key]
	if !known && fresh != nil {
		b.replays[key] = fresh
	}
	return response, known
}

const provider = "openai_compatible"

func (b *Backend) modelName() string { return b.opts.Label + "-model" }

func usage(asked string, list []string) object {
	in, out := len(strings.Fields(asked)), len(list)
	return object{{"prompt_tokens", in}, {"completion_tokens", out}, {"total_tokens", in + out}}
}

func (b *Backend) streamCompletion(w http.ResponseWriter, r *request, c completion) {
	b.streams.Add(1)
	defer b.streams.Add(-1)
	s := parseFaults(c.asked)
	if !applyFaults(w, r, s, formatOpenAI) {
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("X-Accel-Buffering", "no")
	e := newEventWriter(w, r, s, false)
	if s.errorEvent {
		e.send(object{{"error", object{{"message", msgTryLater}, {"type", "server_error"}}}})
		return
	}
	chunk := func(id string, delta object, finish any, extra ...member) object {
		choices := []any{object{{"index", 0}, {"delta", delta}, {"finish_reason", finish}}}
		return append(object{
			{"id", id},
			{"object", "chat.completion.chunk"},
			{"created", c.created},
			{"model", c.model},
			{"choices", choices},
		}, extra...)
	}
	before, after := "chatcmpl-"+strconv.FormatInt(c.created, 10), "chatcmpl-"+c.id // the id changes, as in DocsGPT
	list := b.pieces(c.chat, s)
	if !e.send(chunk(before, object{}, nil, member{"docsgpt", object{
		{"type", "model"},
		{"model", b.modelName()},
		{"provider", provider},
		{"fallback", false},
	}})) {
		return
	}
	if !e.writeText(list, s, b.opts.Delay, func(piece string) any {
		return chunk(before, object{{"content", piece}}, nil)
	}) {
		return
	}
	rest := []any{
		chunk(before, object{}, nil, member{"docsgpt", object{{"type", "source"}, {"sources", b.passages(c.sources)}}}),
		chunk(after, object{}, nil, member{"docsgpt", object{{"type", "id"}, {"conversation_id", c.id}}}),
	}
	if c.usage {
		cost := chunk(after, nil, nil, member{"usage", usage(c.asked, list)})
		cost[4].value = []any{}
		rest = append(rest, cost)
	}
	rest = append(rest, chunk(after, object{}, "stop"))
	if !s.noEnd {
		rest = append(rest, "[DONE]")
	}
	for _, event := range rest {
		if !e.send(event) {
			return
		}
	}
}
