package docsgpttest

import (
	"cmp"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// search is POST /api/search. It returns one result for each source of the key.
func (b *Backend) search(w http.ResponseWriter, r *request) {
	c, ok := b.bearer(w, r)
	if !ok {
		return
	}
	value, ok := r.json(w, false)
	if !ok {
		return
	}
	body, isObject := value.(map[string]any)
	if !isObject && truthy(value) {
		writeInternalError(w, false)
		return
	}
	if c.scoped() && !b.checkToken(w, c, body) {
		return
	}
	switch {
	case !truthy(body["question"]):
		writeJSON(w, http.StatusBadRequest, fields{"error": "question is required"})
		return
	case !truthy(body["api_key"]):
		writeJSON(w, http.StatusBadRequest, fields{"error": "api_key is required"})
		return
	}
	if chunks, given := body["chunks"]; given {
		n, isNumber := chunks.(json.Number)
		wanted, err := n.Int64()
		if !isNumber || err != nil {
			writeInternalError(w, false)
			return
		}
		if wanted <= 0 { // DocsGPT checks this before the key
			writeJSON(w, http.StatusOK, []any{})
			return
		}
	}
	key, isText := body["api_key"].(string)
	if !isText {
		writeJSON(w, http.StatusInternalServerError, fields{"error": "Search failed"})
		return
	}
	sources, known := b.agent(key)
	if !known {
		writeJSON(w, http.StatusUnauthorized, fields{"error": "Invalid API key"})
		return
	}
	s := parseFaults(text(body["question"]))
	if !applyFaults(w, r, s, formatSearch) {
		return
	}
	if s.errorEvent {
		writeJSON(w, http.StatusInternalServerError, fields{"error": "Search failed"})
		return
	}
	found := make([]any, len(sources))
	for i, id := range sources {
		found[i] = fields{
			"source": b.opts.Sources[id], "text": b.passage(id),
			"title": b.opts.Sources[id],
		}
	}
	writeAnswer(w, s, found)
}

// searchSource is POST /api/sources/<id>/search, which needs an access token.
func (b *Backend) searchSource(w http.ResponseWriter, r *request, id string) {
	c, ok := b.bearer(w, r)
	if !ok {
		return
	}
	if !c.token && !b.opts.Open {
		writeJSON(w, http.StatusUnauthorized, fields{"success": false})
		return
	}
	id = strings.ToLower(id)
	if c.scoped() && !mayReference(id, c.allowed) {
		writeJSON(w, http.StatusForbidden, fields{
			"error":   "resource_not_allowed",
			"message": "Token is not allowed to use one of the referenced sources", "success": false,
		})
		return
	}
	value, ok := r.json(w, false)
	if !ok {
		return
	}
	body, _ := value.(map[string]any)
	query, _ := body["query"].(string)
	title, known := b.opts.Sources[id]
	switch {
	case query == "":
		writeJSON(w, http.StatusBadRequest, fields{"message": "Query is required", "success": false})
		return
	case !known:
		writeJSON(w, http.StatusNotFound, fields{"message": "Source not found", "success": false})
		return
	}
	if !applyFaults(w, r, parseFaults(query), formatSearch) {
		return
	}
	writeJSON(w, http.StatusOK, fields{
		"chunks": []any{fields{
			"filename": title, "rank": 1, "relevance": nil, "score": 1.5, "score_kind": "l2_distance",
			"source": title, "text": b.passage(id), "title": title, "tokens": 24,
		}},
		"latency_ms": 1, "query": query, "relevance": nil, "retrieval": fields{"chunks": 6, "retriever": "classic"},
		"retriever": "classic", "success": true, "total": 1,
	})
}

// feedback is POST /api/feedback. An agent key is accepted only for conversations that were created with exactly this string.
func (b *Backend) feedback(w http.ResponseWriter, r *request) {
	c, ok := b.bearer(w, r)
	if !ok {
		return
	}
	if c.token {
		writeJSON(w, http.StatusForbidden, fields{
			"error":          "insufficient_scope",
			"message":        "Token lacks the required scope: conversations:write",
			"required_scope": "conversations:write", "success": false,
		})
		return
	}
	value, ok := r.json(w, false)
	if !ok {
		return
	}
	body, isObject := value.(map[string]any)
	if !isObject {
		writeBadRequest(w, false)
		return
	}
	var missing []string
	for _, name := range []string{"feedback", "conversation_id", "question_index"} {
		if _, found := body[name]; !found {
			missing = append(missing, name)
		}
	}
	if writeMissingFields(w, missing) {
		return
	}
	key, _ := body["api_key"].(string)
	if _, known := b.agent(key); !b.opts.Open && !known {
		writeJSON(w, http.StatusUnauthorized, fields{"success": false})
		return
	}
	if !applyFaults(w, r, parseFaults(text(body["question"])), formatSearch) {
		return
	}
	chat, found := b.chats.get(text(body["conversation_id"]))
	switch index, isNumber := body["question_index"].(json.Number); {
	case !isNumber || strings.ContainsAny(index.String(), ".eE"):
		writeInternalError(w, false)
	case !found || !b.opts.Open && chat.agent != key:
		writeJSON(w, http.StatusNotFound, fields{"message": "Not found", "success": false})
	default:
		writeJSON(w, http.StatusOK, fields{"success": true})
	}
}

// listSources lists the sources of the account, sorted by title; DocsGPT lists the newest first. Restricted access tokens lack
// the scope for it.
func (b *Backend) listSources(w http.ResponseWriter, r *request) {
	c, ok := b.bearer(w, r)
	switch {
	case !ok:
	case c.scoped():
		writeJSON(w, http.StatusForbidden, fields{"error": "insufficient_scope", "required_scope": "sources:read", "success": false})
	case !c.token && !b.opts.Open:
		writeJSON(w, http.StatusUnauthorized, fields{"success": false})
	default:
		list := []any{}
		for _, id := range slices.SortedFunc(maps.Keys(b.opts.Sources), func(a, z string) int {
			return cmp.Compare(b.opts.Sources[a], b.opts.Sources[z])
		}) {
			list = append(list, fields{"id": id, "name": b.opts.Sources[id], "retriever": "classic", "type": "local"})
		}
		writeJSON(w, http.StatusOK, list)
	}
}
