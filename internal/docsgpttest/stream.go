package docsgpttest

import (
	"net/http"
	"strings"
)

// stream is POST /stream.
func (b *Backend) stream(w http.ResponseWriter, r *request) {
	c, ok := b.readChat(w, r, streamErrors)
	if !ok {
		return
	}
	b.streams.Add(1)
	defer b.streams.Add(-1)
	s := parseFaults(c.asked)
	if !applyFaults(w, r, s, formatStream) {
		return
	}
	e := newEventWriter(w, r, s, c.persisted())
	if !pause(r.Context(), s.idGap) {
		return
	}
	if c.persisted() {
		message := newUUID()
		b.messages.set(message, true)
		defer func() {
			if r.Context().Err() == nil {
				b.messages.set(message, false)
			}
		}()
		if !e.send(object{
			{"type", "message_id"},
			{"message_id", message},
			{"conversation_id", c.id},
			{"request_id", newUUID()},
		}) {
			return
		}
	}
	if s.errorEvent || c.broken {
		e.send(object{{"type", "error"}, {"error", msgTryLater}, {"code", "server_error"}})
		return
	}
	calls := toolCalls(s)
	if s.tool != "" && !e.toolCall(s, s.tool) {
		return
	}
	if !e.writeText(b.pieces(c, s), s, b.opts.Delay, func(piece string) any {
		return object{{"type", "answer"}, {"answer", piece}}
	}) {
		return
	}
	if s.lateTool != "" && !e.toolCall(s, s.lateTool) {
		return
	}
	rest := []object{
		{{"type", "source"}, {"source", b.passages(c.sources)}},
		{{"type", "tool_calls"}, {"tool_calls", calls}},
		{{"type", "id"}, {"id", c.id}},
		{{"type", "end"}},
	}
	if s.noEnd {
		rest = rest[:len(rest)-1]
	}
	for _, event := range rest {
		if !e.send(event) {
			return
		}
	}
}

// answer is POST /api/answer.
func (b *Backend) answer(w http.ResponseWriter, r *request) {
	c, ok := b.readChat(w, r, answerErrors)
	if !ok {
		return
	}
	s := parseFaults(c.asked)
	if !applyFaults(w, r, s, formatAnswer) || !pause(r.Context(), s.gap) {
		return
	}
	if s.errorEvent || c.broken {
		writeJSON(w, http.StatusBadRequest, fields{"code": "server_error", "error": msgTryLater})
		return
	}
	writeAnswer(w, s, fields{
		"answer": strings.Join(b.pieces(c, s), ""), "conversation_id": c.id, "sources": b.passages(c.sources),
		"thought": "", "tool_calls": toolCalls(s),
	})
}

// writeAnswer writes an answer without streaming.
func writeAnswer(w http.ResponseWriter, s faults, v any) {
	json := compact
	json.raw = s.unicode
	body := append(json.dumps(v), '\n')
	if s.cut {
		w = &truncatingWriter{w}
	}
	writeBody(w, http.StatusOK, "application/json", body)
}

// truncatingWriter writes half of the body and aborts the connection. Content-Length is that of the whole body.
type truncatingWriter struct{ http.ResponseWriter }

func (h *truncatingWriter) Write(b []byte) (int, error) {
	_, _ = h.ResponseWriter.Write(b[:len(b)/2])
	_ = http.NewResponseController(h.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

// passages returns the search results: one passage of each source.
func (b *Backend) passages(ids []string) []any {
	list := make([]any, len(ids))
	for i, id := range ids {
		list[i] = object{
			{"text", b.passage(id)},
			{"title", b.opts.Sources[id]},
			{"source", b.opts.Sources[id]},
			{"filename", b.opts.Sources[id]},
			{"source_id", id},
			{"chunk_key", strings.ReplaceAll(uuidOf(id), "-", "")},
		}
	}
	return list
}

// passage returns the only passage of a source.
func (b *Backend) passage(id string) string {
	return "# " + b.opts.Sources[id] + "\n\nThis passage is from the source \"" + b.opts.Sources[id] +
		"\". Every question finds it, because the " + b.opts.Label + " backend has one passage for each source."
}
