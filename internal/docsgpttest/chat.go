package docsgpttest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// chat is one question with everything that determines its answer.
type chat struct {
	id      string   // of the conversation; "None" if it is not stored
	asked   string   // the question
	sources []string // the ids of the searched sources
	turns   int      // number of the user's questions, including this one
	files   []string // names of the attachments
	live    []string // privileged fields that were applied
	broken  bool     // the model fails: the answer ends in an error
}

// persisted reports whether the conversation is stored. Only then are its events numbered.
func (c chat) persisted() bool { return c.id != "None" }

// The privileged fields of a request that DocsGPT obeys: those with any credential, and those only without an agent key.
var (
	privilegedFields = []string{
		"attachments", "client_tools", "index", "json_object", "json_schema", "json_schema_strict", "llm_params",
		"multimodal_content", "passthrough", "persist", "tool_actions", "visibility",
	}
	privilegedWithoutKey = []string{"chunks", "isNoneDoc", "model_id", "prompt_id", "retriever", "workflow", "workflow_id"}
)

// errorWriters write the error responses of /stream and /api/answer, which differ in format.
type errorWriters struct{ malformed, unknown, unauthorized func(http.ResponseWriter) }

var (
	streamErrors = errorWriters{
		malformed:    func(w http.ResponseWriter) { writeErrorEvent(w, http.StatusBadRequest, msgMalformed) },
		unknown:      func(w http.ResponseWriter) { writeErrorEvent(w, http.StatusBadRequest, msgUnknown) },
		unauthorized: func(w http.ResponseWriter) { writeErrorEvent(w, http.StatusUnauthorized, "Unauthorized") },
	}
	answerErrors = errorWriters{malformed: failAnswer, unknown: failAnswer, unauthorized: func(w http.ResponseWriter) {
		writeJSON(w, http.StatusUnauthorized, fields{"error": "Unauthorized"})
	}}
)

func failAnswer(w http.ResponseWriter) {
	writeJSON(w, http.StatusInternalServerError, fields{"error": msgProcessing})
}

// readChat parses a request to /stream or /api/answer. If it is rejected, readChat writes the error response and returns false.
func (b *Backend) readChat(w http.ResponseWriter, r *request, errors errorWriters) (c chat, ok bool) {
	caller, ok := b.bearer(w, r)
	if !ok {
		return c, false
	}
	value, ok := r.json(w, false)
	if !ok {
		return c, false
	}
	body, isObject := value.(map[string]any)
	if !isObject {
		writeInternalError(w, false)
		return c, false
	}
	if !b.checkToken(w, caller, body) || !requireFields(w, body) {
		return c, false
	}
	c.asked = text(body["question"])

	key, keyed, known := "", truthy(body["api_key"]), true
	if keyed {
		key, _ = body["api_key"].(string)
		c.sources, known = b.agent(key)
	}
	switch {
	case !known:
		errors.unknown(w)
		return c, false
	case !keyed && !caller.token && !b.opts.Open:
		errors.unauthorized(w)
		return c, false
	case truthy(body["agent_id"]): // agents have only keys here, so every id is unknown
		errors.unknown(w)
		return c, false
	}
	chat, ok := b.continueChat(w, &c, body, key, errors)
	if !ok {
		return c, false
	}
	if !keyed && chat.agent == "" {
		c.sources = b.selectedSources(body)
	} else if !keyed {
		c.sources, _ = b.agent(chat.agent) // a stored conversation continues with its agent
	}
	c.live = liveFields(body, keyed)
	c.files = b.uploads.attachmentNames(body["attachments"])
	if _, isText := body["question"].(string); !isText {
		c.sources, c.broken = nil, true
	}
	if c.persisted() {
		chat.turns = c.turns
		b.chats.put(c.id, chat)
	}
	if strings.Contains(c.asked, "[[artifact") {
		b.makeArtifact(c, key)
	}
	return c, true
}

// requireFields reports whether the required fields are present. If not, it writes the error response.
func requireFields(w http.ResponseWriter, body map[string]any) bool {
	var missing []string
	if _, found := body["question"]; !found {
		missing = append(missing, "question")
	}
	if _, rewrites := body["index"]; rewrites && !truthy(body["conversation_id"]) {
		missing = append(missing, "conversation_id")
	}
	return !writeMissingFields(w, missing)
}

func writeMissingFields(w http.ResponseWriter, missing []string) bool {
	if len(missing) == 0 {
		return false
	}
	writeJSON(w, http.StatusBadRequest, fields{
		"message": "Missing required fields: " + strings.Join(missing, ", "), "success": false,
	})
	return true
}

// continueChat finds or creates the conversation and counts its turns. A stored conversation has precedence over the history in
// the body.
func (b *Backend) continueChat(w http.ResponseWriter, c *chat, body map[string]any, key string,
	errors errorWriters,
) (conversation, bool) {
	if id := body["conversation_id"]; truthy(id) {
		chat, known := b.chats.get(text(id))
		if !known {
			errors.malformed(w)
			return chat, false
		}
		if index, rewrites := body["index"].(json.Number); rewrites {
			if n, err := index.Int64(); err == nil && n >= 0 && int(n) < chat.turns {
				chat.turns = int(n)
			}
		}
		c.id, c.turns = text(id), chat.turns+1
		return chat, true
	}
	chat := conversation{agent: key}
	c.id, c.turns = newUUID(), 1
	if persist, given := body["persist"]; given && isFalseOrZero(persist) {
		c.id = "None"
	}
	history, given := body["history"]
	if !given {
		return chat, true
	}
	written, isText := history.(string)
	if !isText {
		errors.unknown(w)
		return chat, false
	}
	value, err := decodeJSON([]byte(written))
	if err != nil {
		errors.malformed(w)
		return chat, false
	}
	turns, _ := value.([]any)
	for _, turn := range turns {
		pair, isObject := turn.(map[string]any)
		if !isObject {
			c.broken = true
			continue
		}
		_, asked := pair["prompt"]
		_, answered := pair["response"]
		if asked && answered {
			c.turns++
		}
	}
	return chat, true
}

// isFalseOrZero reports whether v is false or 0. Only these values of "persist" disable storage; other falsy values do not.
func isFalseOrZero(v any) bool {
	switch v := v.(type) {
	case bool:
		return !v
	case json.Number:
		return !truthy(v)
	default:
		return false
	}
}

// selectedSources returns the sources that a caller without an agent key selects: a string or a list of lower-case ids. Unknown
// ids are ignored.
func (b *Backend) selectedSources(body map[string]any) []string {
	if truthy(body["isNoneDoc"]) || body["chunks"] == json.Number("0") {
		return nil
	}
	list, isList := body["active_docs"].([]any)
	if !isList {
		list = []any{body["active_docs"]}
	}
	var ids []string
	for _, item := range list {
		id, _ := item.(string)
		if _, known := b.opts.Sources[id]; known && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

func liveFields(body map[string]any, keyed bool) []string {
	names := privilegedFields
	if !keyed {
		names = slices.Concat(privilegedFields, privilegedWithoutKey)
	}
	var live []string
	for _, name := range names {
		if _, found := body[name]; found {
			live = append(live, name)
		}
	}
	slices.Sort(live)
	return live
}

// answerLine returns the first line of the answer to a chat.
func (b *Backend) answerLine(c chat) string {
	source := "none"
	if len(c.sources) > 0 {
		names := make([]string, len(c.sources))
		for i, id := range c.sources {
			names[i] = fmt.Sprintf("%s (%s)", b.opts.Sources[id], id)
		}
		source = strings.Join(names, ", ")
	}
	line := fmt.Sprintf("%s answer: source=%s turns=%d", b.opts.Label, source, c.turns)
	if len(c.files) > 0 {
		line += " files=" + strings.Join(c.files, ",")
	}
	if len(c.live) > 0 {
		line += " live=" + strings.Join(c.live, ",")
	}
	quote := dialect{raw: true}
	return line + " asked=" + string(quote.dumps(c.asked))
}
