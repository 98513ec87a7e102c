package docsgpt

import (
	"strings"
	"testing"
)

const (
	chunkHead = `{"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {`
	chunkTail = `}, "finish_reason": null}], "docsgpt": {"type": "model"}}`
)

// filterChunks passes a stream through a filter that adds roles, in pieces of n bytes.
func filterChunks(t *testing.T, stream string, n int) string {
	t.Helper()
	f := SSEFilter{Verbatim: true, AddRole: true}
	out, err := filterInPieces(&f, stream, n)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// OpenAI's SDK needs the role in the first chunk, and DocsGPT sends none.
func TestAddRole(t *testing.T) {
	event := func(delta string) string { return "data: " + chunkHead + delta + chunkTail + "\n\n" }
	const role = `"role": "assistant"`
	word := event(`"content": "a"`)
	for name, c := range map[string]struct{ in, want string }{
		"an empty delta":       {event("") + word, event(role) + word},
		"a delta with a field": {word + word, event(role+`, "content": "a"`) + word},
		"a role is there":      {event(`"content": "", "role": "assistant"`) + word, event(`"content": "", "role": "assistant"`) + word},
		"an escaped role":      {event(`"r\u006fle": "x"`) + word, event(`"r\u006fle": "x"`) + word},
		"a role elsewhere": {
			"data: {\"role\": \"x\", \"choices\": [{\"delta\": {\"content\": \"\\\"role\\\"\"}}]}\n\n",
			"data: {\"role\": \"x\", \"choices\": [{\"delta\": {" + role + ", \"content\": \"\\\"role\\\"\"}}]}\n\n",
		},
		"comments and other events first": {
			": keepalive\n\ndata: {\"choices\": [], \"delta\": {}}\n\ndata: {\"error\": {\"delta\": 1}}\n\n" + word,
			": keepalive\n\ndata: {\"choices\": [], \"delta\": {}}\n\ndata: {\"error\": {\"delta\": 1}}\n\n" + event(role+`, "content": "a"`),
		},
		"an ID line and CRLF":   {"id: 1\r\ndata: {\"choices\":[{\"delta\":{}}]}\r\n\r\n", "id: 1\r\ndata: {\"choices\":[{\"delta\":{" + role + "}}]}\r\n\r\n"},
		"no space":              {"data:{\"choices\":[{\"delta\":{ }}]}\n\n", "data:{\"choices\":[{\"delta\":{" + role + " }}]}\n\n"},
		"a delta that is null":  {"data: {\"choices\":[{\"delta\":null}]}\n\n", "data: {\"choices\":[{\"delta\":null}]}\n\n"},
		"the second choice":     {"data: {\"choices\":[{},{\"delta\":{}}]}\n\n", "data: {\"choices\":[{},{\"delta\":{}}]}\n\n"},
		"not JSON":              {"data: \"delta\" [DONE]\n\ndata: {\"choices\":[{\"delta\":{\n\n", "data: \"delta\" [DONE]\n\ndata: {\"choices\":[{\"delta\":{\n\n"},
		"a comment about delta": {": \"delta\"\n\n", ": \"delta\"\n\n"},
		"the end":               {"data: [DONE]\n\n", "data: [DONE]\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, n := range []int{1, 7, len(c.in)} {
				if got := filterChunks(t, c.in, n); got != c.want {
					t.Errorf("in pieces of %d bytes: got %q, want %q", n, got, c.want)
				}
			}
		})
	}
}

func TestRoleIsAddedOnlyWhereWanted(t *testing.T) {
	f := SSEFilter{Verbatim: true}
	in := "data: " + chunkHead + chunkTail + "\n\n"
	if out, err := f.Filter(nil, []byte(in)); err != nil || string(out) != in {
		t.Errorf("got %s, %v", out, err)
	}
	for _, name := range VersionNames() {
		v, err := FindVersion(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range v.endpoints() {
			if (e.Relay == RelayChunks) != (e.Name == "completions") {
				t.Errorf("%s %s: the relay mode is %d", name, e.Name, e.Relay)
			}
		}
	}
	if n := strings.Count(filterChunks(t, in+in+in, len(in)), `"role"`); n != 1 {
		t.Errorf("%d chunks have a role", n)
	}
}
