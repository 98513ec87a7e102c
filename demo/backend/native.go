package backend

import (
	"net/http"
	"strings"
)

// stream is POST /stream.
func (b *Backend) stream(w http.ResponseWriter, r *request) {
	c, ok := b.readChat(w, r, streamRefusals)
	if !ok {
		return
	}
	b.open.Add(1)
	defer b.open.Add(-1)
	s := parseSwitches(c.asked)
	if !prelude(w, r, s, shapeStream) {
		return
	}
	e := newEventWriter(w, r, s, c.kept())
	if c.kept() && !e.send(object{
		{"type", "message_id"},
		{"message_id", newUUID()},
		{"conversation_id", c.id},
		{"request_id", newUUID()},
	}) {
		return
	}
	if s.errorEvent || c.broken {
		e.send(object{{"type", "error"}, {"error", sayLater}, {"code", "server_error"}})
		return
	}
	if !e.text(b.pieces(c, s), s, b.opts.Pace, func(piece string) any {
		return object{{"type", "answer"}, {"answer", piece}}
	}) {
		return
	}
	rest := []object{
		{{"type", "source"}, {"source", b.passages(c.sources)}},
		{{"type", "tool_calls"}, {"tool_calls", []any{}}},
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
	c, ok := b.readChat(w, r, answerRefusals)
	if !ok {
		return
	}
	s := parseSwitches(c.asked)
	if !prelude(w, r, s, shapeAnswer) || !pause(r.Context(), s.gap) {
		return
	}
	if s.errorEvent || c.broken {
		writeJSON(w, http.StatusBadRequest, fields{"code": "server_error", "error": sayLater})
		return
	}
	writeAnswer(w, s, fields{
		"answer": strings.Join(b.pieces(c, s), ""), "conversation_id": c.id, "sources": b.passages(c.sources),
		"thought": "", "tool_calls": []any{},
	})
}

// writeAnswer writes an answer that is not streamed.
func writeAnswer(w http.ResponseWriter, s switches, v any) {
	json := compact
	json.raw = s.unicode
	body := append(json.dumps(v), '\n')
	if s.cut {
		w = &halfWriter{w}
	}
	writeBody(w, http.StatusOK, "application/json", body)
}

// halfWriter announces a whole body, writes half of it and ends the connection.
type halfWriter struct{ http.ResponseWriter }

func (h *halfWriter) Write(b []byte) (int, error) {
	_, _ = h.ResponseWriter.Write(b[:len(b)/2])
	_ = http.NewResponseController(h.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

// passages are what was found in the sources: one passage each.
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

// passage is the only text of a source.
func (b *Backend) passage(id string) string {
	return "# " + b.opts.Sources[id] + "\n\nThis passage stands in the source \"" + b.opts.Sources[id] +
		"\". Every question finds it, because the " + b.opts.Label + " backend keeps one passage for each source."
}
