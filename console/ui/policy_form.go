package ui

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/policy"
)

// policyForm is the part of a form about the policy of a key: the texts of its fields and their errors.
type policyForm struct {
	Kind         string
	Origins, IPs string            // one per line
	Endpoints    []string          // the selected ones
	Visitors     string            // "" is off
	Limits       map[string]string // by name
	LimitMessage string

	Was     map[string]string // the original values, so that only changed fields are stored; nil for a new key
	Origin  string            // of the preview
	Preview string            // its result; empty: none
	Wrong   map[string]string // error by field
}

// Err returns the error of a field, or "".
func (d policyForm) Err(field string) string { return d.Wrong[field] }

// limitPrefix precedes the name of a limit in the name of its field.
const limitPrefix = "limit_"

func policyFormOf(p *policy.Policy) policyForm {
	d := policyForm{Limits: make(map[string]string), Visitors: policy.VisitorsOff.String()}
	if p != nil {
		d.Kind, d.Origins, d.IPs, d.Endpoints = p.Kind.String(), joinLines(p.Origins), joinLines(p.IPs), p.Endpoints
		d.LimitMessage = string(p.LimitMessage)
		d.Visitors = p.Visitors.String()
		for _, name := range policy.LimitNames() {
			limit, _ := p.Limits.Get(name)
			d.Limits[name] = limit.String()
		}
	}
	d.Was = d.values()
	return d
}

func parsePolicyForm(f url.Values) policyForm {
	d := policyForm{
		Kind: f.Get("kind"), Origins: f.Get("origins"), IPs: f.Get("ips"), Endpoints: f["endpoint"], Visitors: f.Get("visitors"),
		Limits: make(map[string]string), LimitMessage: strings.TrimSpace(f.Get("limit_message")), Origin: strings.TrimSpace(f.Get("preview_origin")), Wrong: make(map[string]string),
	}
	for _, name := range policy.LimitNames() {
		d.Limits[name] = strings.TrimSpace(f.Get(limitPrefix + name))
	}
	if !f.Has("visitors") { // one of the options is always selected
		d.Visitors = f.Get("was_visitors")
	}
	if f.Has("was_kind") {
		d.Was = make(map[string]string)
		for name := range d.values() {
			d.Was[name] = normalizeLines(f.Get("was_" + name))
		}
	}
	return d
}

// values returns the texts of all fields by name.
func (d *policyForm) values() map[string]string {
	values := map[string]string{
		"kind": d.Kind, "origins": normalizeLines(d.Origins), "ips": normalizeLines(d.IPs), "endpoints": strings.Join(d.Endpoints, "\n"),
		"limit_message": d.LimitMessage,
		"visitors":      d.Visitors,
	}
	for name, text := range d.Limits {
		values[limitPrefix+name] = text
	}
	return values
}

// change returns the changed fields, and sets the errors of invalid ones. The registry validates the rest.
func (d *policyForm) change() (c registry.PolicyChange) {
	values := d.values()
	changed := func(field string) bool { return d.Was == nil || d.Was[field] != values[field] }
	if changed("kind") {
		kind, err := policy.ParseKind(d.Kind)
		if err != nil {
			d.Wrong["kind"] = toSentence(err.Error())
		}
		c.Kind = &kind
	}
	if changed("origins") {
		c.Origins = parseLines(d, "origins", d.Origins, policy.ParseOrigin)
	}
	if changed("ips") {
		c.IPs = parseLines(d, "ips", d.IPs, policy.ParsePrefix)
	}
	if changed("endpoints") {
		c.Endpoints = &d.Endpoints
	}
	if changed("visitors") {
		visitors, err := policy.ParseVisitors(cmp.Or(d.Visitors, policy.VisitorsOff.String()))
		if err != nil {
			d.Wrong["visitors"] = toSentence(err.Error())
		}
		c.Visitors = &visitors
	}
	for _, name := range policy.LimitNames() {
		switch text := d.Limits[name]; {
		case !changed(limitPrefix + name):
		case text == "":
			c.Default = append(c.Default, name)
		default:
			if err := c.Limits.Set(name, text); err != nil {
				d.Wrong[limitPrefix+name] = toSentence(err.Error())
			}
		}
	}
	if changed("limit_message") {
		message, err := policy.ParseLimitMessage(d.LimitMessage)
		if err != nil {
			d.Wrong["limit_message"] = toSentence(err.Error())
		}
		c.LimitMessage = &message
	}
	return c
}

// policy returns the policy of the form as a whole. It is only valid if there are no errors.
func (d *policyForm) policy() *policy.Policy {
	whole := *d
	whole.Was = nil
	change := whole.change()
	return change.Apply(nil)
}

// parseLines parses the lines of a field. It sets the error of the first invalid one.
func parseLines[T any](d *policyForm, field, text string, parse func(string) (T, error)) *[]T {
	var list []T
	for i, line := range lines(text) {
		value, err := parse(line)
		if err != nil {
			d.Wrong[field] = fmt.Sprintf("Line %d: %s", i+1, toSentence(err.Error()))
			break
		}
		list = append(list, value)
	}
	return &list
}

func joinLines[T fmt.Stringer](list []T) string {
	texts := make([]string, len(list))
	for i, value := range list {
		texts[i] = value.String()
	}
	return strings.Join(texts, "\n")
}

func normalizeLines(text string) string { return strings.Join(lines(text), "\n") }

// limitField is a limit in the form.
type limitField struct{ Name, Label, Hint, Placeholder, Value string }

// LimitFields returns the limits with their values.
func (d policyForm) LimitFields() []limitField {
	fields := make([]limitField, 0, len(d.Limits))
	for _, name := range policy.LimitNames() {
		text, known := limitTexts[name]
		if !known {
			text.Label = name
		}
		text.Name, text.Value = name, d.Limits[name]
		fields = append(fields, text)
	}
	return fields
}

// limitsOf returns the limits that a policy sets.
func limitsOf(p *policy.Policy) []limitField {
	return slices.DeleteFunc(policyFormOf(p).LimitFields(), func(f limitField) bool { return f.Value == "" })
}

var limitTexts = map[string]limitField{
	"requests":            {Label: "Requests", Hint: "Of all clients of the key together. The first number is also the largest burst.", Placeholder: "600/1m"},
	"visitor_requests":    {Label: "Requests per visitor", Hint: "Of one client address, or one signed visitor.", Placeholder: "20/1m"},
	"streams":             {Label: "Answers in flight", Hint: "Of all clients together, at the same time.", Placeholder: "50"},
	"visitor_streams":     {Label: "Answers in flight per visitor", Hint: "Of one client address, or one signed visitor, at the same time.", Placeholder: "2"},
	"questions_per_day":   {Label: "Questions per day", Hint: "Answers of all clients together in a calendar day.", Placeholder: "1000"},
	"questions_per_month": {Label: "Questions per month", Hint: "Answers of all clients together in a calendar month.", Placeholder: "20000"},
	"tokens_per_day":      {Label: "Model tokens per day", Hint: "Tokens of the model in a calendar day, for prompts and answers.", Placeholder: "2000000"},
	"question_chars":      {Label: "Characters per question", Hint: "Longer questions are rejected.", Placeholder: "4000"},
	"history_turns":       {Label: "Turns of history", Hint: "Older turns of a conversation are not sent to the model.", Placeholder: "20"},
	"weight":              {Label: "Weight in the queue", Hint: "1 to 100. A key with twice the weight of another gets twice as many of its waiting questions answered.", Placeholder: "1"},
}

// endpointOption is an endpoint group with a checkbox.
type endpointOption struct {
	Name string
	On   bool
}

// EndpointOptions returns all endpoint groups.
func (d policyForm) EndpointOptions() []endpointOption {
	options := make([]endpointOption, len(policy.Endpoints))
	for i, name := range policy.Endpoints {
		options[i] = endpointOption{name, slices.Contains(d.Endpoints, name)}
	}
	return options
}

// HasLimits reports whether a limit is set or wrong, so that the limits are shown.
func (d policyForm) HasLimits() bool {
	for name, text := range d.Limits {
		if text != "" || d.Wrong[limitPrefix+name] != "" {
			return true
		}
	}
	return d.LimitMessage != "" || d.Wrong["limits"] != "" || d.Wrong["limit_message"] != ""
}

// HasNetworks reports the same about the address ranges and the endpoints.
func (d policyForm) HasNetworks() bool {
	return d.IPs != "" || len(d.Endpoints) > 0 || d.Wrong["ips"] != "" || d.Wrong["endpoints"] != ""
}
