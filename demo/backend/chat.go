package backend

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// chat is one question with all that decides its answer.
type chat struct {
	id      string   // of the conversation; "None" when nothing is kept
	asked   string   // the question
	sources []string // the ids that are searched
	turns   int      // questions of the user so far, this one included
	files   []string // names of the attachments that are read
	live    []string // members that widen what the caller may do, and that had their effect
	broken  bool     // the model could not answer this: the answer ends in an error
}

// kept says whether the conversation is stored. Only then are its events numbered.
func (c chat) kept() bool { return c.id != "None" }

// wideners are the members of a native chat that a real DocsGPT obeys, with an agent key and, beyond those, without.
var (
	widenWithKey = []string{
		"attachments", "client_tools", "index", "json_object", "json_schema", "json_schema_strict", "llm_params",
		"multimodal_content", "passthrough", "persist", "tool_actions", "visibility",
	}
	widenWithoutKey = []string{"chunks", "isNoneDoc", "model_id", "prompt_id", "retriever", "workflow", "workflow_id"}
)

// refusals are how /stream and /api/answer word the same refusal.
type refusals struct{ malformed, unknown, unauthorized func(http.ResponseWriter) }

var (
	streamRefusals = refusals{
		malformed:    func(w http.ResponseWriter) { writeErrorEvent(w, http.StatusBadRequest, sayMalformed) },
		unknown:      func(w http.ResponseWriter) { writeErrorEvent(w, http.StatusBadRequest, sayUnknown) },
		unauthorized: func(w http.ResponseWriter) { writeErrorEvent(w, http.StatusUnauthorized, "Unauthorized") },
	}
	answerRefusals = refusals{malformed: failAnswer, unknown: failAnswer, unauthorized: func(w http.ResponseWriter) {
		writeJSON(w, http.StatusUnauthorized, fields{"error": "Unauthorized"})
	}}
)

func failAnswer(w http.ResponseWriter) {
	writeJSON(w, http.StatusInternalServerError, fields{"error": sayProcessing})
}

// readChat reads a request to /stream or /api/answer and answers what is wrong with it.
func (b *Backend) readChat(w http.ResponseWriter, r *request, refuse refusals) (c chat, ok bool) {
	who, ok := b.bearer(w, r)
	if !ok {
		return c, false
	}
	value, ok := r.json(w, false)
	if !ok {
		return c, false
	}
	body, isObject := value.(map[string]any)
	if !isObject {
		refuseInternal(w, false)
		return c, false
	}
	if !b.checkToken(w, who, body) || !requireFields(w, body) {
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
		refuse.unknown(w)
		return c, false
	case !keyed && !who.token && !b.opts.Open:
		refuse.unauthorized(w)
		return c, false
	case truthy(body["agent_id"]): // an agent is only known by its key here, so no id names one
		refuse.unknown(w)
		return c, false
	}
	chat, ok := b.continueChat(w, &c, body, key, refuse)
	if !ok {
		return c, false
	}
	if !keyed && chat.agent == "" {
		c.sources = b.selected(body)
	} else if !keyed {
		c.sources, _ = b.agent(chat.agent) // the agent of a stored conversation takes over
	}
	c.live = liveMembers(body, keyed)
	c.files = b.uploads.attached(body["attachments"])
	if _, isText := body["question"].(string); !isText {
		c.sources, c.broken = nil, true
	}
	if c.kept() {
		chat.turns = c.turns
		b.chats.put(c.id, chat)
	}
	if strings.Contains(c.asked, "[[artifact") {
		b.makeArtifact(c, key)
	}
	return c, true
}

// requireFields checks for what must be there.
func requireFields(w http.ResponseWriter, body map[string]any) bool {
	var missing []string
	if _, found := body["question"]; !found {
		missing = append(missing, "question")
	}
	if _, rewrites := body["index"]; rewrites && !truthy(body["conversation_id"]) {
		missing = append(missing, "conversation_id")
	}
	return !refuseMissing(w, missing)
}

func refuseMissing(w http.ResponseWriter, missing []string) bool {
	if len(missing) == 0 {
		return false
	}
	writeJSON(w, http.StatusBadRequest, fields{
		"message": "Missing required fields: " + strings.Join(missing, ", "), "success": false,
	})
	return true
}

// continueChat finds or makes the conversation and counts its turns. A stored one goes before the history in the body.
func (b *Backend) continueChat(w http.ResponseWriter, c *chat, body map[string]any, key string,
	refuse refusals,
) (conversation, bool) {
	if id := body["conversation_id"]; truthy(id) {
		chat, known := b.chats.get(text(id))
		if !known {
			refuse.malformed(w)
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
		refuse.unknown(w)
		return chat, false
	}
	value, err := decodeJSON([]byte(written))
	if err != nil {
		refuse.malformed(w)
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

// isFalseOrZero: only these two switch the storing off, other falsy values do not.
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

// selected is what a caller without an agent key chooses by itself: a string or a list, each id in lower case. What is
// unknown is dropped without a word.
func (b *Backend) selected(body map[string]any) []string {
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

func liveMembers(body map[string]any, keyed bool) []string {
	names := widenWithKey
	if !keyed {
		names = slices.Concat(widenWithKey, widenWithoutKey)
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

// line is what the backend says about a chat, in one line.
func (b *Backend) line(c chat) string {
	used := "none"
	if len(c.sources) > 0 {
		names := make([]string, len(c.sources))
		for i, id := range c.sources {
			names[i] = fmt.Sprintf("%s (%s)", b.opts.Sources[id], id)
		}
		used = strings.Join(names, ", ")
	}
	said := fmt.Sprintf("%s answer: source=%s turns=%d", b.opts.Label, used, c.turns)
	if len(c.files) > 0 {
		said += " files=" + strings.Join(c.files, ",")
	}
	if len(c.live) > 0 {
		said += " live=" + strings.Join(c.live, ",")
	}
	quote := dialect{raw: true}
	return said + " asked=" + string(quote.dumps(c.asked))
}
