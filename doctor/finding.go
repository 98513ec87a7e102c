package doctor

import (
	"slices"
	"strings"
)

// Severity is the severity of a finding.
type Severity string

// The severities, in ascending order.
const (
	OK      Severity = "ok"      // checked, and correct
	Note    Severity = "note"    // worth knowing
	Unknown Severity = "unknown" // could not be checked
	Warning Severity = "warning" // weakens the deployment, or may be intended
	Failure Severity = "failure" // does not work, or is insecure
)

// Finding is the result of one check of one thing.
type Finding struct {
	// ID names the check, such as "backend.exposed". The part before the dot is its area. IDs are stable.
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	// Summary says what was found, in one or two sentences.
	Summary string `json:"summary"`
	// Fix says what to do; empty if nothing is to be done.
	Fix string `json:"fix,omitempty"`
	// DocsURL is the section of the documentation about this check.
	DocsURL string `json:"docs_url"`
}

// Area returns the part of the ID before the dot.
func (f Finding) Area() string {
	area, _, _ := strings.Cut(f.ID, ".")
	return area
}

// Report holds the findings of all checks, grouped by area.
type Report struct {
	Findings []Finding `json:"findings"`
}

// Count returns the number of findings with a severity.
func (r *Report) Count(s Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// page is the documentation page that has a heading for the ID of each finding.
const page = "docs/doctor.md"

// report collects findings. Their texts, which may quote responses and errors, become one line
// without secrets, shortened in the middle.
type report struct {
	Report
	secrets []string
}

func (r *report) add(id string, s Severity, summary, fix string) {
	f := Finding{
		ID: id, Severity: s, Summary: r.clean(summary), Fix: r.clean(fix),
		DocsURL: page + "#" + strings.ReplaceAll(id, ".", ""), // the anchor of the heading
	}
	if !slices.Contains(r.Findings, f) {
		r.Findings = append(r.Findings, f)
	}
}

func (r *report) ok(id, summary string)           { r.add(id, OK, summary, "") }
func (r *report) note(id, summary, fix string)    { r.add(id, Note, summary, fix) }
func (r *report) unknown(id, summary, fix string) { r.add(id, Unknown, summary, fix) }
func (r *report) warn(id, summary, fix string)    { r.add(id, Warning, summary, fix) }
func (r *report) fail(id, summary, fix string)    { r.add(id, Failure, summary, fix) }
func (r *report) worst(id string) (worst Severity) {
	order := []Severity{OK, Note, Unknown, Warning, Failure}
	for _, f := range r.Findings {
		if f.ID == id && slices.Index(order, f.Severity) >= slices.Index(order, worst) {
			worst = f.Severity
		}
	}
	return worst
}

// maxText is the maximum length of a text in bytes: it may quote addresses from a page, or errors of nested modules.
const maxText = 1200

func (r *report) clean(text string) string {
	for _, secret := range r.secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "(the key)")
		}
	}
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxText { // the end of an error says most
		text = strings.ToValidUTF8(text[:maxText/2], "") + " ... " + strings.ToValidUTF8(text[len(text)-maxText/2:], "")
	}
	return text
}
