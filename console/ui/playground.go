package ui

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/docsgate/docsgate/console/keyservice"
)

const maxQuestion = 4000 // characters

// try sends a question with a token, both from the form, and streams the response. It appends an event of its own,
// {"type":"done","status":...}, with the gate's status, and with an error if the gate could not be reached.
func (p *Page) try(w http.ResponseWriter, r *http.Request) error {
	if p.Service.TestQuery == nil {
		return &pageError{http.StatusNotFound, "This console cannot send questions."}
	}
	if err := parseForm(r); err != nil {
		return err
	}
	token, question := strings.TrimSpace(r.PostForm.Get("token")), strings.TrimSpace(r.PostForm.Get("question"))
	if token == "" || question == "" || utf8.RuneCountInString(question) > maxQuestion {
		return &pageError{http.StatusUnprocessableEntity, "Enter a token, and a question of at most 4,000 characters."}
	}
	w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
	w.Header().Set("X-Accel-Buffering", "no")
	status, err := p.Service.TestQuery(r.Context(), keyservice.TestQuestion{Token: token, Text: question, Origin: p.originFor(r.Context(), token)}, &flushWriter{w, http.NewResponseController(w)})
	last := struct {
		Type   string `json:"type"`
		Status int    `json:"status"`
		Error  string `json:"error,omitempty"`
	}{Type: "done", Status: status}
	if err != nil && r.Context().Err() == nil {
		last.Error = "The gate could not be reached, or the answer is incomplete."
		if p.OnError != nil {
			p.OnError(r, err)
		}
	}
	event, _ := json.Marshal(last) // cannot fail
	_, _ = w.Write([]byte("\n\ndata: " + string(event) + "\n\n"))
	return nil
}

// originFor returns an origin from which a token can be used, or "" if it needs none.
func (p *Page) originFor(ctx context.Context, token string) string {
	id, _ := p.Service.FindToken(token)
	k, err := p.Service.Show(ctx, id)
	if err != nil || k.Policy == nil || len(k.Policy.Origins) == 0 || k.Policy.Origins[0].IsAny() {
		return ""
	}
	return strings.Replace(k.Policy.Origins[0].String(), "*.", "www.", 1)
}

// flushWriter flushes after each write.
type flushWriter struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (f *flushWriter) Write(b []byte) (int, error) {
	n, err := f.ResponseWriter.Write(b)
	if err == nil {
		_ = f.control.Flush() // best effort: without it the response is buffered
	}
	return n, err
}
