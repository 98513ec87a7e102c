package ui

import (
	"net/http"
	"time"

	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/policy"
)

// placeholderSigned stands for a signed token in snippets.
const placeholderSigned = "SIGNED_TOKEN"

// tokenPage is the body of the only page that shows a token. It is sent only in response to the form that created the token.
type tokenPage struct {
	Row                  row
	Token                string
	SignSecret           string // that signs tokens of visitors; empty: none was created
	Rotated              bool
	SignedOnly           bool      // the token is not valid, only signed tokens of visitors are
	PreviousTokenExpires time.Time // zero: the previous token is not valid
	NotYet               bool      // the change is stored, but not applied yet
	Snippets             []snippet
	Gate                 string
	GateKnown, CanAsk    bool
	Try                  tryNotes
}

// createOnce creates a token with do, once per form. before is the ID of the key if the form was submitted before. If m is not
// nil, an error only means that the change is not applied yet.
func (p *Page) createOnce(
	r *http.Request, purpose string, do func() (*registry.CreateResult, error),
) (m *registry.CreateResult, before string, err error) {
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
		Row: p.rowOf(k, p.sources.load(r.Context())), Token: m.Token.Reveal(), SignSecret: m.SignSecret.Reveal(), Rotated: rotated, NotYet: late != nil,
		Gate: p.Service.GateURL, GateKnown: p.Service.GateURL != "", CanAsk: p.Service.TestQuery != nil,
	}
	b.Try = tryNotesOf(&k, p.Actor(r).RemoteAddr, p.Service.RemoteGate)
	if rotated {
		b.PreviousTokenExpires = k.PreviousTokenExpires
	}
	if !b.GateKnown {
		b.Gate = placeholderGate
	}
	usable := b.Token
	if b.SignedOnly = k.Policy != nil && k.Policy.Visitors == policy.VisitorsRequired; b.SignedOnly {
		usable, b.CanAsk = placeholderSigned, false
	}
	b.Snippets = snippets(b.Gate, usable, &k)
	title := "Key created"
	if rotated {
		title = "Key rotated"
	}
	p.render(w, r, status, "token", title, b)
}

// renderDuplicate responds to a form that was submitted before.
func (p *Page) renderDuplicate(w http.ResponseWriter, r *http.Request, id string, rotated bool) {
	name := ""
	if k, err := p.Service.Show(r.Context(), id); err == nil {
		name = k.Name
	}
	p.render(w, r, http.StatusConflict, "duplicate_submission", "Already submitted", duplicate{ID: id, Name: name, Rotated: rotated})
}

// duplicate is the body of the page about a form that was submitted before.
type duplicate struct {
	ID, Name string
	Rotated  bool
	Secret   bool // it was the form for a secret that signs tokens
}
