package docsgpt

import (
	"strings"
	"testing"
)

// PostgreSQL cannot store a NUL character, and DocsGPT 1.1 fails after the whole answer, or with a status that looks like an
// invalid key. Text that was extracted from a PDF often contains one.
func TestNULCharacterIsRejected(t *testing.T) {
	const nul = `a\u0000b`
	for name, c := range map[string]struct {
		endpoint, body, field string
		allow                 []string
	}{
		"question":             {"stream", `{"question":"` + nul + `"}`, "question", nil},
		"question to /answer":  {"answer", `{"question":"` + nul + `"}`, "question", nil},
		"search":               {"search", `{"question":"` + nul + `"}`, "question", nil},
		"conversation":         {"stream", `{"question":"q","conversation_id":"` + nul + `"}`, "conversation_id", nil},
		"feedback":             {"feedback", `{"answer":"` + nul + `","feedback":"LIKE","conversation_id":"c","question_index":0}`, "answer", nil},
		"message":              {"completions", `{"messages":[{"role":"user","content":"` + nul + `"}]}`, "messages", nil},
		"text part":            {"completions", `{"messages":[{"content":[{"type":"text","text":"` + nul + `"}]}]}`, "messages", nil},
		"model":                {"completions", `{"messages":[],"model":"` + nul + `"}`, "model", nil},
		"name in an object":    {"completions", `{"messages":[],"passthrough":{"` + nul + `":1}}`, "passthrough", []string{"passthrough"}},
		"at the beginning":     {"stream", `{"question":"\u0000"}`, "question", nil},
		"after a backslash":    {"stream", `{"question":"\\\u0000"}`, "question", nil},
		"after an escaped one": {"stream", `{"question":"\\u0000\u0000"}`, "question", nil},
	} {
		t.Run(name, func(t *testing.T) {
			e := endpoint(t, "", c.endpoint, c.allow...)
			var b Body
			if err := b.Parse(e, buffer(c.body)); err != nil {
				t.Fatal(err)
			}
			want := `the field "` + c.field + `" contains a NUL character (U+0000): remove it`
			if err := b.Check(e); err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}

func TestNULCharacterIsHarmless(t *testing.T) {
	for name, body := range map[string]string{
		"an escaped backslash":       `{"question":"C:\\u0000"}`,
		"in a history, not stored":   `{"question":"q","history":"[{\"prompt\":\"a\\u0000b\",\"response\":\"r\"}]"}`,
		"in a field that is dropped": `{"question":"q","x":"\u0000"}`,
		"other control characters":   `{"question":"\u0001\u001f\u007f\u0085\ufffe\uffff\ufdd0"}`,
		"digits":                     `{"question":"u0000` + strings.Repeat("0", 99) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			e := endpoint(t, "", "stream")
			var b Body
			if err := b.Parse(e, buffer(body)); err != nil {
				t.Fatal(err)
			}
			if err := b.Check(e); err != nil {
				t.Error(err)
			}
		})
	}
}
