package ui

import (
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

// keyPage is the body of a key's page.
type keyPage struct {
	Row      row
	Edit     editForm
	Visitors visitorsSection
	Trail    []registry.AuditEntry
	More     bool // there are older entries
	Notice   string
	Seen     *seenOrigins  // nil: none
	Usage    *usageSection // nil: not recorded
}

// editForm is the form to update a key. It contains the original values, too, so that only changed fields are stored.
type editForm struct {
	Name, NotBefore, Expires          string
	WasName, WasNotBefore, WasExpires string
	Policy                            policyForm
	Wrong                             map[string]string
}

// Err returns the error of a field, or "".
func (e editForm) Err(field string) string { return e.Wrong[field] }

// notices are the messages after an action, by the value of the query parameter "done".
var notices = map[string]string{
	"changed":       "The changes are saved and in effect.",
	"same":          "Nothing was changed.",
	"disabled":      "The key is disabled. New requests with it are rejected, and its requests in flight have ended.",
	"enabled":       "The key is enabled again.",
	"ended":         "The grace period has ended. New requests with previous tokens are rejected.",
	"secrets-ended": "The grace period has ended. Tokens that replaced secrets have signed are rejected.",
	"invalidated":   "All signed tokens of before are rejected, and their requests in flight have ended.",
	"revoked":       "The key is revoked permanently. New requests with it are rejected, and its requests in flight have ended.",
}

const trailOnPage = 20

func (p *Page) show(w http.ResponseWriter, r *http.Request) error {
	k, err := p.find(r)
	if err != nil {
		return err
	}
	return p.renderKey(w, r, http.StatusOK, k, formOf(k))
}

// formOf returns the form with the values of a key.
func formOf(k keyservice.Key) editForm {
	e := editForm{Name: k.Name, NotBefore: formatField(k.NotBefore), Expires: formatField(k.Expires)}
	e.WasName, e.WasNotBefore, e.WasExpires = e.Name, e.NotBefore, e.Expires
	e.Policy = policyFormOf(k.Policy)
	return e
}

func (p *Page) renderKey(w http.ResponseWriter, r *http.Request, status int, k keyservice.Key, e editForm) error {
	return p.renderKeyWith(w, r, status, k, e, visitorsSection{})
}

// renderKeyWith is renderKey with values of the forms about signed visitors.
func (p *Page) renderKeyWith(
	w http.ResponseWriter, r *http.Request, status int, k keyservice.Key, e editForm, s visitorsSection,
) error {
	b := keyPage{Row: p.rowOf(k, p.sources.load(r.Context())), Edit: e, Notice: notices[r.URL.Query().Get("done")], Seen: p.seenOrigins(k.ID)}
	b.Visitors = p.visitorsOf(b.Row, s)
	var err error
	if b.Usage, err = p.usageOf(r, k.ID); err != nil {
		return err
	}
	if k.Issued {
		trail, err := p.Service.Registry.Audit(r.Context(), k.ID, 0, trailOnPage+1)
		if err != nil {
			return err
		}
		b.More = len(trail) > trailOnPage
		b.Trail = trail[:min(len(trail), trailOnPage)]
	}
	p.render(w, r, status, "key", k.Name, b)
	return nil
}

func (p *Page) update(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	k, err := p.changeable(r)
	if err != nil {
		return err
	}
	get := func(name string) string { return r.PostForm.Get(name) }
	e := editForm{
		Name: get("name"), NotBefore: strings.TrimSpace(get("not_before")), Expires: strings.TrimSpace(get("expires")),
		WasName: get("was_name"), WasNotBefore: get("was_not_before"), WasExpires: get("was_expires"),
		Policy: parsePolicyForm(r.PostForm),
	}
	if e.Policy.assist(r.PostForm.Get("do")) {
		return p.renderKey(w, r, http.StatusOK, k, e)
	}
	e.Wrong = e.Policy.Wrong
	var change registry.UpdateRequest
	if e.Policy.Was != nil {
		change.Policy = e.Policy.change()
	}
	if e.Name != e.WasName {
		change.Name = &e.Name
	}
	change.NotBefore = e.time("not_before", e.NotBefore, e.WasNotBefore, p.now())
	change.Expires = e.time("expires", e.Expires, e.WasExpires, p.now())
	if len(e.Wrong) > 0 {
		return p.renderKey(w, r, http.StatusUnprocessableEntity, k, e)
	}
	if reflect.ValueOf(change).IsZero() {
		p.redirect(w, r, keyPath(k.ID), "same")
		return nil
	}
	if _, err = p.Service.UpdateKey(writeContext(r), p.Actor(r), k.ID, change); err != nil {
		if e.Wrong = fieldErrors(err); len(e.Wrong) > 0 {
			if e.Wrong["visitors"] != "" {
				e.Wrong["visitors"] = `Create a secret in the section "Signed visitors" first.`
			}
			e.Policy.Wrong = e.Wrong
			return p.renderKey(w, r, http.StatusUnprocessableEntity, k, e)
		}
		return err
	}
	p.redirect(w, r, keyPath(k.ID), "changed")
	return nil
}

// time returns the new value of a field, or nil if it is unchanged or invalid. It sets the error of an invalid one.
func (e *editForm) time(field, text, was string, now time.Time) *time.Time {
	// A browser may omit zero seconds.
	if text == was || text+":00" == was {
		return nil
	}
	t, ok := parseField(text, now)
	if !ok {
		e.Wrong[field] = errTimeFormat
		return nil
	}
	return &t
}

// changeable returns the key of a request. It is an error if nothing of it can be changed.
func (p *Page) changeable(r *http.Request) (keyservice.Key, error) {
	k, err := p.find(r)
	if err == nil && !k.Issued && !k.Overridable() {
		err = &keyservice.ReadOnlyError{Feed: k.Feed}
	}
	return k, err
}

// issued returns the key of a request. It is an error if the key is read-only.
func (p *Page) issued(r *http.Request) (keyservice.Key, error) {
	k, err := p.find(r)
	if err == nil && !k.Issued {
		err = &keyservice.ReadOnlyError{Feed: k.Feed}
	}
	return k, err
}

func (p *Page) disable(w http.ResponseWriter, r *http.Request) error {
	return p.setState(w, r, keys.Disabled, "disabled")
}

func (p *Page) enable(w http.ResponseWriter, r *http.Request) error {
	return p.setState(w, r, keys.Active, "enabled")
}

func (p *Page) setState(w http.ResponseWriter, r *http.Request, state keys.State, done string) error {
	k, err := p.changeable(r)
	if err != nil {
		return err
	}
	if _, err := p.Service.UpdateKey(writeContext(r), p.Actor(r), k.ID, registry.UpdateRequest{State: &state}); err != nil {
		return err
	}
	p.redirect(w, r, keyPath(k.ID), done)
	return nil
}

func (p *Page) revokeConfirm(w http.ResponseWriter, r *http.Request) error {
	k, err := p.issued(r)
	if err != nil {
		return err
	}
	p.render(w, r, http.StatusOK, "revoke", "Revoke "+k.Name, p.rowOf(k, p.sources.load(r.Context())))
	return nil
}

func (p *Page) revoke(w http.ResponseWriter, r *http.Request) error {
	k, err := p.issued(r)
	if err != nil {
		return err
	}
	if _, err := p.Service.Registry.Revoke(writeContext(r), p.Actor(r), k.ID); err != nil {
		return err
	}
	p.redirect(w, r, keyPath(k.ID), "revoked")
	return nil
}
