package ui

import (
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
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
	q := keyservice.TestQuestion{Token: token, Text: question, Origin: p.originFor(r.Context(), token), Address: p.Actor(r).RemoteAddr}
	status, err := p.Service.TestQuery(r.Context(), q, &flushWriter{w, http.NewResponseController(w)})
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
	if err != nil {
		return ""
	}
	return tryOrigin(k.Policy)
}

// tryOrigin returns the origin of a question with a key that has this policy, "" if it needs none.
func tryOrigin(p *policy.Policy) string {
	if p == nil || len(p.Origins) == 0 || p.Origins[0].IsAny() {
		return ""
	}
	return examplePage(p.Origins[0])
}

// examplePage returns an origin that a pattern allows.
func examplePage(origin policy.Origin) string {
	return strings.Replace(origin.String(), "*.", "www.", 1)
}

// tryNotes describe a question of the page: from where the gate sees it come, and why the gate rejects it, if that is known.
type tryNotes struct {
	Address, Origin string // empty: unknown, or none
	Remote          bool   // the gate is another process, and sees the address of this machine
	Rejected        string // a sentence; empty: probably not rejected
}

// tryNotesOf returns the notes for a question of an administrator with a key. The question has the administrator's address, since a
// client at the same place would have it, too. No other address is made up: an answer would say nothing about real clients.
func tryNotesOf(k *keyservice.Key, address string, remote bool) tryNotes {
	n := tryNotes{Address: address, Origin: tryOrigin(k.Policy), Remote: remote}
	switch p := k.Policy; {
	case k.State != keys.Active.String():
		n.Rejected = "The key is not valid now, so the gate rejects the question."
	case p == nil:
	case len(p.Endpoints) > 0 && !slices.Contains(p.Endpoints, "widget"):
		n.Rejected = "The key may not be used at the endpoints of widgets, so the gate rejects the question."
	case p.Visitors == policy.VisitorsRequired:
		n.Rejected = "The key accepts only signed tokens of visitors, so the gate rejects the question."
	case len(p.IPs) > 0 && !remote && !allowsAddress(p.IPs, address):
		n.Rejected = "Your address is in none of the address ranges of the key, so the gate rejects the question, as it does " +
			"for every client from there."
	case len(p.IPs) > 0 && remote:
		n.Rejected = "The gate rejects the question unless the address of the console's server is in the address ranges of the key."
	}
	return n
}

// allowsAddress reports whether one of the prefixes contains an address.
func allowsAddress(prefixes []policy.Prefix, address string) bool {
	ip, _ := netip.ParseAddr(address) // no prefix contains the zero Addr
	only := policy.Policy{IPs: prefixes}
	return only.Check(&policy.Request{Address: ip}) == policy.Allowed
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
