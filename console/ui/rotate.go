package ui

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/internal/duration"
	"github.com/docsgate/docsgate/keys/registry"
)

// rotateForm is the form to rotate a key.
type rotateForm struct {
	Row     row
	Nonce   string
	Grace   string // value of one of the Choices
	Custom  string // a custom grace period
	Choices []formOption
	Wrong   string
	Alert   string
}

func rotatePurpose(id string) string { return "rotate " + id }

func (p *Page) rotateConfirm(w http.ResponseWriter, r *http.Request) error {
	k, err := p.issued(r)
	if err != nil {
		return err
	}
	p.renderRotation(w, r, http.StatusOK, k, rotateForm{Grace: "24h"})
	return nil
}

func (p *Page) renderRotation(w http.ResponseWriter, r *http.Request, status int, k keyservice.Key, o rotateForm) {
	o.Row, o.Nonce, o.Choices = p.rowOf(k, p.sources.load(r.Context())), p.FormNonces.issue(rotatePurpose(k.ID)), graces
	p.render(w, r, status, "rotate", "Rotate "+k.Name, o)
}

func (p *Page) rotate(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	k, err := p.issued(r)
	if err != nil {
		return err
	}
	o := rotateForm{Grace: r.PostForm.Get("grace"), Custom: strings.TrimSpace(r.PostForm.Get("custom"))}
	grace, wrong := o.span()
	if o.Wrong = wrong; wrong != "" {
		p.renderRotation(w, r, http.StatusUnprocessableEntity, k, o)
		return nil
	}
	m, before, err := p.createOnce(r, rotatePurpose(k.ID), func() (*registry.CreateResult, error) {
		return p.Service.Registry.Rotate(writeContext(r), p.Actor(r), k.ID, grace)
	})
	switch {
	case errors.Is(err, errExpiredForm):
		o.Alert = "This form has expired, so the key was not rotated now. Check whether it was rotated before; " +
			"if not, submit the form again."
		p.renderRotation(w, r, http.StatusConflict, k, o)
		return nil
	case before != "":
		p.renderDuplicate(w, r, before, true)
		return nil
	case m == nil:
		wrong := fieldErrors(err)
		if len(wrong) == 0 {
			return err
		}
		for _, text := range wrong {
			o.Wrong = text
		}
		p.renderRotation(w, r, http.StatusUnprocessableEntity, k, o)
		return nil
	}
	p.renderToken(w, r, http.StatusOK, m, true, err)
	return nil
}

// endGrace ends the grace period of the previous tokens.
func (p *Page) endGrace(w http.ResponseWriter, r *http.Request) error {
	k, err := p.issued(r)
	if err != nil {
		return err
	}
	if _, err := p.Service.Registry.EndGrace(writeContext(r), p.Actor(r), k.ID); err != nil {
		return err
	}
	p.redirect(w, r, keyPath(k.ID), "ended")
	return nil
}

// span returns the selected grace period, or an error text.
func (o *rotateForm) span() (grace time.Duration, wrong string) {
	c, ok := findOption(graces, o.Grace)
	if !ok {
		return 0, "Choose a grace period for the previous token."
	}
	if c.Value != customChoice {
		if o.Custom != "" { // entered without selecting "Custom"
			return 0, `To use this duration, choose "Custom", or clear it.`
		}
		return c.span, ""
	}
	grace, err := duration.Parse(o.Custom)
	if err != nil || grace > registry.MaxGrace {
		return 0, "Enter a duration such as 36h, 10d or 2w, 30 days at most."
	}
	return grace, ""
}
