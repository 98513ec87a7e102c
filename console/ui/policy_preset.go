package ui

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/docsgate/docsgate/policy"
)

// preset is a set of values for a policy form. It replaces all fields except signed visitors and the message of limits, and the origins if it
// keeps them.
type preset struct {
	Value, Label, Note string
	keepOrigins        bool
	form               policyForm
}

var presets = []preset{
	{
		"public", "Public page", "The key is visible in a page that anyone can open", true,
		policyForm{
			Kind: policy.Publishable.String(), Endpoints: []string{"widget"},
			Limits: map[string]string{"visitor_requests": "20/1m", "visitor_streams": "2", "question_chars": "4000"},
		},
	},
	{
		"server", "Server", "A program of your own uses the key, for all of its users", false,
		policyForm{
			Kind:   policy.Secret.String(),
			Limits: map[string]string{"requests": "600/1m", "visitor_requests": "off", "visitor_streams": "off"},
		},
	},
	{
		"internal", "Internal tool", "Only clients in private networks use the key", true,
		policyForm{
			IPs:    "10.0.0.0/8\n172.16.0.0/12\n192.168.0.0/16\nfc00::/7",
			Limits: map[string]string{"visitor_requests": "60/1m"},
		},
	},
}

// Presets returns all presets.
func (policyForm) Presets() []preset { return presets }

// Script returns the values of the preset for the script of the page.
func (p preset) Script() string {
	var d policyForm
	p.fill(&d)
	values := d.values()
	delete(values, "limit_message")
	delete(values, "visitors") // depends on whether a server signs tokens
	if p.keepOrigins {
		delete(values, "origins")
	}
	text, _ := json.Marshal(values) // cannot fail
	return string(text)
}

// fill replaces the values of a form by those of the preset.
func (p *preset) fill(d *policyForm) {
	if !p.keepOrigins {
		d.Origins = ""
	}
	d.Kind, d.IPs, d.Endpoints = p.form.Kind, p.form.IPs, p.form.Endpoints
	d.Limits, d.Wrong = make(map[string]string), make(map[string]string)
	for _, name := range policy.LimitNames() {
		d.Limits[name] = p.form.Limits[name]
	}
}

// assist applies a button of the form that does not submit it: a preset or the preview, which work without scripts, too. It reports
// whether it was one.
func (d *policyForm) assist(button string) bool {
	if button == "preview" {
		d.Preview = d.previewOf(d.Origin)
		return true
	}
	name, ok := strings.CutPrefix(button, "preset-")
	for i := range presets {
		if ok && presets[i].Value == name {
			presets[i].fill(d)
		}
	}
	return ok
}

// previewOf returns what the policy decides about pages of an origin. It sets the errors of invalid fields. An address of a page is
// reduced to its origin.
func (d *policyForm) previewOf(address string) string {
	restrictions := d.policy()
	if len(d.Wrong) > 0 {
		return "Correct the invalid fields first."
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || strings.Contains(u.Host, "*") {
		return "Enter the address of a page, such as https://shop.example.com."
	}
	origin, err := policy.ParseOrigin(u.Scheme + "://" + u.Host)
	if err != nil {
		return "Enter the address of a page, such as https://shop.example.com."
	}
	return origin.String() + ": " + decisionOn(restrictions, origin.String())
}

// decisionOn returns "allowed", or the reason why requests of a page are rejected. Addresses and endpoints are not considered.
func decisionOn(p *policy.Policy, origin string) string {
	if p == nil {
		return "allowed"
	}
	pageOnly := policy.Policy{Kind: p.Kind, Origins: p.Origins}
	if reason := pageOnly.Check(&policy.Request{Origin: origin, Browser: true}); reason != policy.Allowed {
		return string(reason)
	}
	return "allowed"
}

// preview responds with the preview as text, for the script of the form.
func (p *Page) preview(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	d := parsePolicyForm(r.PostForm)
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(d.previewOf(d.Origin)))
	return nil
}
