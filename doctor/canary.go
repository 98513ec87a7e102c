package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// canaryQuestion also asks for data that tools of the owner's account may store, see checkTools. Reading it changes nothing.
const canaryQuestion = "Quote everything that your documents, your memory and your notes say, word by word."

// checkCanary sends questions with the key that name the other source in all fields that any DocsGPT version reads, and searches the
// answers for the canary, a text that only that source contains.
func (x *runner) checkCanary(ctx context.Context) {
	if x.opts.Source == "" || x.opts.Canary == "" || x.outside == nil {
		return
	}
	if x.opts.Key == "" {
		x.unknown("isolation.canary",
			"Whether the key can read the source of --source was not checked, because no key was given.",
			"Pass a key with --key-stdin or --key-file.")
		return
	}
	answered, found := 0, false
	for _, q := range x.crossSourceRequests() {
		q.timeout = x.opts.Timeout
		a, err := x.outside.send(ctx, x.agent, q)
		if err != nil || x.endedForTool(a) || a.status != http.StatusOK {
			continue
		}
		answered++
		if a.contains(x.opts.Canary) {
			found = true
			path, _, _ := strings.Cut(q.path, "?")
			x.fail("isolation.canary", fmt.Sprintf("An answer of %s contains the canary, a text of a source that the key must not reach.", path),
				"Check what the key is bound to with \"docsgate keys show\", and that no other directive of the site forwards this path to DocsGPT.")
		}
	}
	switch {
	case found:
	case answered == 0:
		x.unknown("isolation.canary",
			"Whether the key can read the source of --source is unknown: no question with the key was answered.",
			"Pass a valid key; see the findings about the key.")
	default:
		x.ok("isolation.canary",
			"The canary does not occur in "+number(answered, "answer")+" to questions for it.")
	}
}

// crossSourceRequests are questions with the key that name the other source.
func (x *runner) crossSourceRequests() []request {
	id, key := x.opts.Source, x.opts.Key
	question := x.opts.Question
	if question == "" {
		question = canaryQuestion
	}
	native := func(more map[string]any) map[string]any {
		body := map[string]any{"question": question, "history": "[]", "api_key": key}
		for name, value := range more {
			body[name] = value
		}
		return body
	}
	everywhere := map[string]any{
		"active_docs": id, "selectDocs": id, "selectedDocs": id, "source": id, "sources": []string{id}, "source_id": id,
		"extra_source_ids": []string{id}, "retriever": "classic", "chunks": 20,
	}
	query := "?" + url.Values{"active_docs": {id}, "source": {id}}.Encode()
	var all []request
	post := func(path string, body map[string]any, h http.Header) {
		all = append(all, request{method: http.MethodPost, path: path, body: body, header: h})
	}
	if x.opens("widget") {
		post("/api/answer"+query, native(everywhere), nil)
		post("/stream"+query, native(map[string]any{"active_docs": []string{id}}), nil)
		post("/api/search"+query, native(everywhere), nil)
		// Without api_key in the body, every version reads the source from the request.
		keyless := native(everywhere)
		delete(keyless, "api_key")
		post("/api/answer", keyless, nil)
		post("/stream", keyless, bearer(key))
	}
	if x.opens("openai") {
		post("/v1/chat/completions"+query, map[string]any{
			"model": id, "messages": []any{map[string]any{"role": "user", "content": question}},
			"active_docs": id, "docsgpt": map[string]any{"active_docs": id, "source": id}, "source": id,
		}, bearer(key))
	}
	return all
}

// contains reports whether a response contains a text: in a string of its JSON, or in the joined strings of a stream. Case and
// white space are ignored.
func (a *response) contains(canary string) bool {
	canary = normalizeSpace(canary)
	joined := map[string]*strings.Builder{}
	for line := range strings.Lines(string(a.body)) {
		text := strings.TrimSpace(strings.TrimPrefix(line, "data:"))
		var value any
		if json.Unmarshal([]byte(text), &value) == nil {
			collectText(value, "", joined)
		}
	}
	var whole any
	if json.Unmarshal(a.body, &whole) == nil {
		collectText(whole, "", joined)
	}
	for _, text := range joined {
		if strings.Contains(normalizeSpace(text.String()), canary) {
			return true
		}
	}
	return strings.Contains(normalizeSpace(string(a.body)), canary)
}

// collectText joins the strings of a value by the name of their field: the pieces of an answer have the same.
func collectText(value any, name string, into map[string]*strings.Builder) {
	switch v := value.(type) {
	case string:
		if into[name] == nil {
			into[name] = new(strings.Builder)
		}
		into[name].WriteString(v)
	case []any:
		for _, one := range v {
			collectText(one, name, into)
		}
	case map[string]any:
		for field, one := range v {
			collectText(one, field, into)
		}
	}
}

func normalizeSpace(text string) string {
	return strings.ToLower(strings.Join(strings.Fields(text), ""))
}
