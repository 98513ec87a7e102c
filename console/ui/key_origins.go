package ui

import (
	"net/http"
	"strings"

	"github.com/docsgate/docsgate/keys/activity"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/policy"
)

// seenOrigins are the origins of the pages that a key was used on.
type seenOrigins struct {
	Uses    []activity.OriginUse
	Dropped bool // there were more than the gate records
}

// seenOrigins returns what learn_origins has recorded of a key, or nil.
func (p *Page) seenOrigins(id string) *seenOrigins {
	if p.Service.Activity == nil {
		return nil
	}
	uses, dropped := p.Service.Activity.Origins.Of(id)
	if len(uses) == 0 {
		return nil
	}
	return &seenOrigins{uses, dropped}
}

// CanAdopt reports whether the key can be restricted to the recorded origins.
func (b keyPage) CanAdopt() bool {
	return (b.Row.Editable() || b.Row.Overridable()) && (b.Row.Policy == nil || b.Row.Policy.Kind != policy.Secret)
}

// adoptOrigins restricts a key to the origins that the user has selected on its page.
func (p *Page) adoptOrigins(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	k, err := p.changeable(r)
	if err != nil {
		return err
	}
	d := policyForm{Wrong: make(map[string]string)}
	origins := parseLines(&d, "origins", strings.Join(r.PostForm["origin"], "\n"), policy.ParseOrigin)
	switch {
	case len(d.Wrong) > 0:
		return &pageError{http.StatusUnprocessableEntity, "An origin is not valid. Nothing was changed."}
	case len(*origins) == 0:
		return &pageError{http.StatusUnprocessableEntity, "Select at least one page. Nothing was changed."}
	}
	change := registry.UpdateRequest{Policy: registry.PolicyChange{Origins: origins}}
	if _, err := p.Service.UpdateKey(writeContext(r), p.Actor(r), k.ID, change); err != nil {
		for _, message := range fieldErrors(err) {
			return &pageError{http.StatusUnprocessableEntity, message}
		}
		return err
	}
	p.redirect(w, r, keyPath(k.ID), "changed")
	return nil
}
