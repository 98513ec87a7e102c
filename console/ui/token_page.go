package ui

import (
	"net/http"
	"time"

	"github.com/docsgate/docsgate/keys/registry"
)

// tokenPage is the body of the page that shows a token. No other page does, and it is only ever an answer to the form that
// tokenPage the token.
type tokenPage struct {
	Row                  row
	Token                string
	Rotated              bool
	PreviousTokenExpires time.Time // zero: the token before does not count any more
	NotYet               bool      // the change is stored, but the gate may not know of it yet
	Snippets             []snippet
	Gate                 string
	GateKnown, CanAsk    bool
}

// createOnce makes a token with do, for a form that counts only once. before is the key that the form made at an earlier
// time; if there is a token, an error says no more than that it may not be in force yet.
func (p *Page) createOnce(r *http.Request, purpose string, do func() (*registry.CreateResult, error)) (m *registry.CreateResult, before string, err error) {
	var late error
	before, err = p.FormNonces.once(r.Context(), r.PostForm.Get("nonce"), purpose, func() (string, error) {
		m, late = do()
		if m == nil {
			return "", late
		}
		return m.Record.ID, nil
	})
	if m != nil && late != nil {
		err = late
		if p.OnError != nil {
			p.OnError(r, late)
		}
	}
	return m, before, err
}

func (p *Page) renderToken(w http.ResponseWriter, r *http.Request, status int, m *registry.CreateResult, rotated bool, late error) {
	k := p.Service.FromRecord(&m.Record)
	b := tokenPage{
		Row: p.rowOf(k, p.sources.load(r.Context())), Token: m.Token.Reveal(), Rotated: rotated, NotYet: late != nil,
		Gate: p.Service.GateURL, GateKnown: p.Service.GateURL != "", CanAsk: p.Service.TestQuery != nil,
	}
	if rotated {
		b.PreviousTokenExpires = k.PreviousTokenExpires
	}
	if !b.GateKnown {
		b.Gate = placeholderGate
	}
	b.Snippets = snippets(b.Gate, b.Token, k.Binding == "agent")
	title := "Key created"
	if rotated {
		title = "Key rotated"
	}
	p.render(w, r, status, "token", title, b)
}

// renderDuplicate answers a form that was sent before.
func (p *Page) renderDuplicate(w http.ResponseWriter, r *http.Request, id string, rotated bool) {
	name := ""
	if k, err := p.Service.Show(r.Context(), id); err == nil {
		name = k.Name
	}
	p.render(w, r, http.StatusConflict, "duplicate_submission", "Already submitted", struct {
		ID, Name string
		Rotated  bool
	}{id, name, rotated})
}
