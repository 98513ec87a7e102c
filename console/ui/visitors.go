package ui

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/policy"
	"github.com/docsgate/docsgate/visitortoken"
)

// visitorsSection is the part of a key's page about signed visitors.
type visitorsSection struct {
	Row           row
	Nonce         string
	Grace         string // value of one of the Graces
	Graces        []formOption
	Visitor       string // of the token to sign
	Lifetime      string // value of one of the Lifetimes
	Lifetimes     []formOption
	CanChange     bool // what verifies tokens can be changed here
	CanSign       bool // the key accepts signed tokens
	Wrong         map[string]string
	InGracePeriod bool // a replaced secret is still valid
}

// Err returns the error of a field, or "".
func (s visitorsSection) Err(field string) string { return s.Wrong[field] }

// Shown reports whether the section is part of the page.
func (s visitorsSection) Shown() bool { return s.CanChange || s.CanSign }

// secretGraces are the options for the grace period of a replaced secret.
var secretGraces = slices.DeleteFunc(slices.Clone(graces), func(o formOption) bool { return o.Value == customChoice })

// tokenLifetimes are the options for the lifetime of a token.
var tokenLifetimes = []formOption{{"10m", "10 minutes", 10 * time.Minute}, {"1h", "1 hour", time.Hour}, {"1d", "1 day", day}}

func signSecretPurpose(id string) string { return "sign secret " + id }

// visitorsOf returns the section of a key. The form has the values of given.
func (p *Page) visitorsOf(r row, given visitorsSection) visitorsSection {
	s := given
	s.Row, s.Nonce, s.Graces, s.Lifetimes = r, p.FormNonces.issue(signSecretPurpose(r.ID)), secretGraces, tokenLifetimes
	s.CanChange = r.Editable() || r.Overridable()
	s.CanSign = r.Policy != nil && r.Policy.Visitors != policy.VisitorsOff && r.State == "active"
	if s.Grace == "" {
		s.Grace = "24h"
	}
	if s.Lifetime == "" {
		s.Lifetime = "10m"
	}
	s.InGracePeriod = slices.ContainsFunc(r.Signing.Secrets, func(k keyservice.SignSecret) bool { return !k.Until.IsZero() })
	return s
}

// secretPage is the body of a page that shows a secret for signing, or a signed token, once.
type secretPage struct {
	Row    row
	Secret string
	Token  bool // it is a token of a visitor
	NotYet bool // the secret is stored, but not applied yet

	Visitor string    // of the token
	Expires time.Time // of the token
	Until   time.Time // end of the grace period of the previous secret; zero: none is valid
}

func (p *Page) rotateSignSecret(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	k, err := p.changeable(r)
	if err != nil {
		return err
	}
	s := visitorsSection{Grace: r.PostForm.Get("grace")}
	grace, ok := findOption(secretGraces, s.Grace)
	if !ok {
		s.Wrong = map[string]string{"grace": "Choose a grace period for the previous secret."}
		return p.renderKeyWith(w, r, http.StatusUnprocessableEntity, k, formOf(k), s)
	}
	var created registry.NewSignSecret
	var late error
	before, err := p.FormNonces.once(r.Context(), r.PostForm.Get("nonce"), signSecretPurpose(k.ID), func() (string, error) {
		created, err = p.Service.RotateSignSecret(writeContext(r), p.Actor(r), k.ID, grace.span)
		if err != nil && created.ID == "" {
			return "", err
		}
		late = err
		return k.ID, nil
	})
	switch {
	case errors.Is(err, errExpiredForm):
		return &pageError{http.StatusConflict, "This form has expired, so no secret was created. Open the page of the key again."}
	case before != "":
		p.renderDuplicateSecret(w, r, k)
		return nil
	case err != nil:
		return err
	case late != nil && p.OnError != nil:
		p.OnError(r, late)
	}
	return p.renderSecret(w, r, http.StatusCreated, k.ID, secretPage{Secret: created.Secret.Reveal(), NotYet: late != nil})
}

// renderSecret shows a secret of a key as it is now.
func (p *Page) renderSecret(w http.ResponseWriter, r *http.Request, status int, id string, b secretPage) error {
	k, err := p.Service.Show(writeContext(r), id)
	if err != nil {
		k = keyservice.Key{ID: id, Name: id} // the secret must not be lost
	}
	b.Row = p.rowOf(k, p.sources.load(r.Context()))
	if len(k.Signing.Secrets) > 1 {
		b.Until = k.Signing.Secrets[1].Until
	}
	title := "Secret created"
	if b.Token {
		title = "Token of a visitor"
	}
	p.render(w, r, status, "secret", title, b)
	return nil
}

// renderDuplicateSecret responds to a form that was submitted before.
func (p *Page) renderDuplicateSecret(w http.ResponseWriter, r *http.Request, k keyservice.Key) {
	p.render(w, r, http.StatusConflict, "duplicate_submission", "Already submitted", duplicate{ID: k.ID, Name: k.Name, Secret: true})
}

func (p *Page) endSignGrace(w http.ResponseWriter, r *http.Request) error {
	return p.changeSigning(w, r, "secrets-ended", p.Service.EndSignGrace)
}

func (p *Page) invalidateVisitorTokens(w http.ResponseWriter, r *http.Request) error {
	return p.changeSigning(w, r, "invalidated", p.Service.InvalidateVisitorTokens)
}

func (p *Page) changeSigning(
	w http.ResponseWriter, r *http.Request, done string, change func(ctx context.Context, by registry.Actor, id string) error,
) error {
	k, err := p.changeable(r)
	if err != nil {
		return err
	}
	if err := change(writeContext(r), p.Actor(r), k.ID); err != nil {
		return err
	}
	p.redirect(w, r, keyPath(k.ID), done)
	return nil
}

// signVisitorToken shows a signed token, for tests of a page.
func (p *Page) signVisitorToken(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	k, err := p.find(r)
	if err != nil {
		return err
	}
	s := visitorsSection{Visitor: strings.TrimSpace(r.PostForm.Get("visitor")), Lifetime: r.PostForm.Get("lifetime"), Wrong: map[string]string{}}
	lifetime, ok := findOption(tokenLifetimes, s.Lifetime)
	if !ok {
		s.Wrong["expires"] = "Choose a lifetime."
	}
	if !visitortoken.IsValidVisitor(s.Visitor) {
		s.Wrong["visitor"] = "Enter an ID of 1 to 128 letters, digits or characters of ._-:@|+=/."
	}
	if len(s.Wrong) > 0 {
		return p.renderKeyWith(w, r, http.StatusUnprocessableEntity, k, formOf(k), s)
	}
	token, expires, err := p.Service.SignVisitorToken(r.Context(), k.ID, visitortoken.Request{Visitor: s.Visitor, Lifetime: lifetime.span})
	if err != nil {
		return err
	}
	return p.renderSecret(w, r, http.StatusCreated, k.ID, secretPage{Secret: token, Token: true, Visitor: s.Visitor, Expires: expires})
}
