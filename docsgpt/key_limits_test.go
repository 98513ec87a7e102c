package docsgpt

import (
	"errors"
	"strings"
	"testing"
)

func TestKeyLimits(t *testing.T) {
	const (
		history  = `"[{\"prompt\":\"p1\",\"response\":\"r1\"},{\"prompt\":\"p2\",\"response\":\"r2\"}]"`
		messages = `[{"role":"system","content":"s"},{"role":"user","content":"p1"},{"role":"assistant","content":"r1"},` +
			`{"role":"user","content":"p2"},{"role":"assistant","content":"r2"},{"role":"user","content":"q"}]`
	)
	for name, c := range map[string]struct {
		endpoint, body string
		limits         KeyLimits
		want           string // part of the forwarded body; "": the question is too long
	}{
		"no limits":              {"stream", `"question":"q","history":` + history, KeyLimits{}, `"history":` + history},
		"newest turns":           {"stream", `"question":"q","history":` + history, KeyLimits{HistoryTurns: 1}, `"history":"[{\"prompt\":\"p2\",\"response\":\"r2\"}]"`},
		"fewer turns":            {"stream", `"question":"q","history":` + history, KeyLimits{HistoryTurns: 9}, `"history":` + history},
		"a question at limit":    {"stream", `"question":"äöü🙂"`, KeyLimits{QuestionChars: 4}, `"question":"äöü🙂"`},
		"a question over it":     {"stream", `"question":"äöü🙂x"`, KeyLimits{QuestionChars: 4}, ""},
		"escapes are characters": {"stream", `"question":"\u00e4\n\"x"`, KeyLimits{QuestionChars: 4}, `"question":"\u00e4\n\"x"`},
		"a search":               {"search", `"question":"12345"`, KeyLimits{QuestionChars: 4}, ""},
		"messages":               {"completions", `"messages":` + messages, KeyLimits{HistoryTurns: 1}, `"messages":[{"role":"system","content":"s"},{"role":"user","content":"p2"},{"role":"assistant","content":"r2"},{"role":"user","content":"q"}]`},
		"messages, all turns":    {"completions", `"messages":` + messages, KeyLimits{HistoryTurns: 2}, `"messages":` + messages},
		"the last message":       {"completions", `"messages":` + messages, KeyLimits{QuestionChars: 1}, `"messages":` + messages},
		"the last message, over": {"completions", `"messages":[{"role":"user","content":"12345"},{"role":"assistant","content":"a"}]`, KeyLimits{QuestionChars: 4}, ""},
		"text parts":             {"completions", `"messages":[{"role":"user","content":[{"type":"text","text":"123"},{"type":"text","text":"45"}]}]`, KeyLimits{QuestionChars: 4}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := endpoint(t, "", c.endpoint)
			var b Body
			if err := b.Parse(e, buffer("{"+c.body+"}")); err != nil {
				t.Fatal(err)
			}
			if err := b.Check(e); err != nil {
				t.Fatal(err)
			}
			err := b.CheckKey(c.limits)
			if c.want == "" {
				var tooLong *QuestionTooLongError
				if !errors.As(err, &tooLong) || tooLong.Limit != c.limits.QuestionChars {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if out := string(b.Rewrite(e, Binding{Agent: "agent"}, false)); !strings.Contains(out, c.want) {
				t.Errorf("%s\ndoes not contain\n%s", out, c.want)
			}
		})
	}
}
