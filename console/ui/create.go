package ui

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

// createForm is the form for a new key: its values and its errors.
type createForm struct {
	Nonce                        string
	Name                         string
	Binding                      string         // "source" or "agent"
	Picked                       []sourceOption // DocsGPT's sources
	Typed                        string         // source IDs, one per line
	Agent                        string         // the selected reference; a pasted key is never sent back
	AgentID                      string         // the typed ID of a key of another feed
	Listed, Others               []keyservice.Agent
	MoreAgents                   bool   // there are more than Others
	NotBefore, Lifetime, Expires string // values of the fields

	Policy       policyForm
	Lifetimes    []formOption
	Wrong        map[string]string // error by field
	NoCredential bool              // see keyservice.Service
	Unlisted     string            // why sources cannot be listed; empty: they can, or there is no list
	Alert        string            // why the form is shown again; empty: no alert
	Unknown      []string          // sources that DocsGPT does not list, if the user has to confirm them
	SeenUnknown  string            // those that the submitted form has warned about, one per line
}

// sourceOption is a source with a checkbox.
type sourceOption struct {
	keyservice.Source
	On bool
}

// Err returns the error of a field, or "".
func (d createForm) Err(field string) string { return d.Wrong[field] }

const createPurpose = "create"

// newKey shows the form. The query can have sources, or the ID of an agent-bound key of another feed.
func (p *Page) newKey(w http.ResponseWriter, r *http.Request) error {
	d := createForm{Binding: "source", Lifetime: "never", Policy: parsePolicyForm(nil)}
	if agent := r.URL.Query().Get("agent"); keys.IsValidID(agent) {
		d.Binding, d.Agent = "agent", agent
	}
	p.renderCreateForm(w, r, http.StatusOK, d, r.URL.Query()["source"])
	return nil
}

func (p *Page) renderCreateForm(w http.ResponseWriter, r *http.Request, status int, d createForm, picked []string) {
	d.Nonce, d.Lifetimes, d.NoCredential = p.FormNonces.issue(createPurpose), lifetimes, p.Service.NoCredential
	all, err := p.sources.get(r.Context())
	if err != nil {
		d.Unlisted = "The list of sources could not be loaded from DocsGPT. Enter source IDs instead. The log of the gate has the reason."
		if p.OnError != nil {
			p.OnError(r, err)
		}
	}
	d.Listed, d.Others, d.MoreAgents = p.Service.Offers()
	offered := func(a keyservice.Agent) bool { return a.Reference == d.Agent }
	if keys.IsValidID(d.Agent) && d.AgentID == "" && !slices.ContainsFunc(d.Listed, offered) && !slices.ContainsFunc(d.Others, offered) {
		d.Agent, d.AgentID = "", d.Agent
	}
	left := slices.Clone(picked)
	for _, source := range all {
		at := slices.Index(left, source.ID)
		if at >= 0 {
			left = slices.Delete(left, at, at+1)
		}
		d.Picked = append(d.Picked, sourceOption{Source: source, On: at >= 0})
	}
	if len(left) > 0 { // checked in a list that has changed since
		d.Typed = strings.TrimSpace(strings.Join(append(left, d.Typed), "\n"))
	}
	p.render(w, r, status, "new", "Create key", d)
}

func (p *Page) create(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	d, picked := parseCreateForm(r.PostForm)
	if d.Policy.assist(r.PostForm.Get("do")) {
		p.renderCreateForm(w, r, http.StatusOK, d, picked)
		return nil
	}
	wanted := registry.CreateRequest{Name: d.Name, Policy: d.Policy.policy()}
	d.Wrong = d.Policy.Wrong
	if d.Binding == "agent" {
		wanted.Agent, wanted.AgentKey = cmp.Or(d.Agent, d.AgentID), strings.TrimSpace(r.PostForm.Get("agent_key"))
		switch {
		case d.Agent != "" && d.AgentID != "":
			d.Wrong["agent"] = "Choose an agent or enter the ID of a key, not both."
		case wanted.Agent == "" && wanted.AgentKey == "":
			d.Wrong["agent"] = "Choose an agent, or paste its key below."
		case wanted.Agent != "" && wanted.AgentKey != "":
			d.Wrong["agent"] = "Choose an agent or paste its key, not both."
		}
	} else {
		wanted.Sources = lines(strings.Join(append(slices.Clone(picked), d.Typed), "\n"))
		if len(wanted.Sources) == 0 {
			d.Wrong["sources"] = "Choose at least one source."
		}
	}
	wanted.NotBefore, wanted.Expires = d.times(p.now())
	if strings.TrimSpace(d.Name) == "" {
		d.Wrong["name"] = "Enter a name, such as the site that uses the key."
	}
	again := func(status int) error {
		p.renderCreateForm(w, r, status, d, picked)
		return nil
	}
	if len(d.Wrong) > 0 {
		return again(http.StatusUnprocessableEntity)
	}
	if listed, _ := p.sources.get(r.Context()); !d.confirmSources(wanted.Sources, listed) { // after an error none are listed
		return again(http.StatusUnprocessableEntity)
	}
	m, before, err := p.createOnce(r, createPurpose, func() (*registry.CreateResult, error) {
		return p.Service.Create(writeContext(r), p.Actor(r), wanted)
	})
	switch {
	case errors.Is(err, errExpiredForm):
		d.Alert = "This form has expired, so no key was created. Check whether the list already has the key; if not, " +
			"submit the form again."
		return again(http.StatusConflict)
	case before != "":
		p.renderDuplicate(w, r, before, false)
		return nil
	case m == nil:
		if d.Wrong = fieldErrors(err); len(d.Wrong) > 0 {
			d.Policy.Wrong = d.Wrong
			return again(http.StatusUnprocessableEntity)
		}
		return err
	}
	p.renderToken(w, r, http.StatusCreated, m, false, err)
	return nil
}

func parseCreateForm(f url.Values) (d createForm, picked []string) {
	d = createForm{
		Name: f.Get("name"), Binding: "source", Typed: f.Get("sources"), SeenUnknown: f.Get("unknown_sources"),
		Agent: strings.TrimSpace(f.Get("agent")), AgentID: strings.TrimSpace(f.Get("agent_id")),
		NotBefore: strings.TrimSpace(f.Get("not_before")), Lifetime: f.Get("lifetime"), Expires: strings.TrimSpace(f.Get("expires")),
		Policy: parsePolicyForm(f),
	}
	if f.Get("binding") == "agent" {
		d.Binding = "agent"
	}
	if _, ok := findOption(lifetimes, d.Lifetime); !ok {
		d.Lifetime = "never"
	}
	return d, f["source"]
}

// times parses the time limits and sets their errors.
func (d *createForm) times(now time.Time) (notBefore, expires time.Time) {
	var ok bool
	if notBefore, ok = parseField(d.NotBefore, now); !ok {
		d.Wrong["not_before"] = errTimeFormat
	}
	lifetime, _ := findOption(lifetimes, d.Lifetime)
	switch {
	case lifetime.span > 0:
		from := now
		if notBefore.After(now) {
			from = notBefore
		}
		expires = from.Add(lifetime.span).Truncate(time.Second)
	case lifetime.Value == customChoice && d.Expires == "":
		d.Wrong["expires"] = "Enter the date and time at which the key expires."
	case lifetime.Value == customChoice:
		if expires, ok = parseField(d.Expires, now); !ok {
			d.Wrong["expires"] = errTimeFormat
		}
	}
	// Without JavaScript a date can be entered without its option being selected; it must not be ignored silently.
	if lifetime.Value != customChoice && d.Expires != "" {
		d.Wrong["expires"] = `To use this date, choose "On a date", or clear the date.`
	}
	if d.Wrong["expires"] == "" && !expires.IsZero() && !expires.After(now) {
		d.Wrong["expires"] = "This time is in the past."
	}
	return notBefore, expires
}

const errTimeFormat = "Enter a date and time in UTC, such as 2027-01-31T09:00."
