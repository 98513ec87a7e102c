package docsgpttest

import (
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAnswers(t *testing.T) {
	s := httptest.NewServer(New(Options{
		Keys: map[string][]string{keyAlpha: {alpha}}, Sources: map[string]string{alpha: "alpha.md"},
		Answers: map[string]string{"How?": "Press the button."},
	}))
	t.Cleanup(s.Close)
	for question, want := range map[string]string{
		"How?": `"answer":"Press the button."`,
		"Why?": `"answer":"demo answer: source=alpha.md (` + alpha + `) turns=1 asked=\"Why?\"`,
	} {
		got := send(t, "POST", s.URL+"/api/answer", `{"question":"`+question+`","api_key":"`+keyAlpha+`"}`)
		if got.status != 200 || !strings.Contains(got.body, want) {
			t.Errorf("%s: %d %s", question, got.status, got.body)
		}
	}
}
