package doctor

import (
	"slices"
	"strings"
)

// Severity tells how bad a finding is.
type Severity string

// The severities, the mildest first.
const (
	OK      Severity = "ok"      // examined, and as it should be
	Note    Severity = "note"    // worth knowing
	Unknown Severity = "unknown" // could not be told
	Warning Severity = "warning" // weakens the deployment, or may be meant
	Failure Severity = "failure" // does not work, or lets somebody in
)

// Finding is the result of one check of one thing.
type Finding struct {
	// ID names the check, such as "backend.exposed". The part before the dot is its area. IDs are stable.
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	// Summary is a sentence about how it is.
	Summary string `json:"summary"`
	// Fix is a sentence about what to do; empty where nothing is to be done.
	Fix string `json:"fix,omitempty"`
	// DocsURL is where to read on: a page of the documentation.
	DocsURL string `json:"docs_url"`
}

// Area is the part of the ID before the dot.
func (f Finding) Area() string {
	area, _, _ := strings.Cut(f.ID, ".")
	return area
}

// Report is all that was found, in the order of the checks.
type Report struct {
	Findings []Finding `json:"findings"`
}

// Count is how many findings have a severity.
func (r *Report) Count(s Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// page is the page that tells about every finding, under a heading that is its ID.
const page = "docs/doctor.md"

// report collects findings. Text that was read somewhere is cut, and secrets are taken out of it.
type report struct {
	Report
	secrets []string
}

func (r *report) add(id string, s Severity, what, mend string) {
	f := Finding{
		ID: id, Severity: s, Summary: r.clean(what), Fix: r.clean(mend),
		DocsURL: page + "#" + strings.ReplaceAll(id, ".", ""), // as headings are linked to
	}
	if !slices.Contains(r.Findings, f) {
		r.Findings = append(r.Findings, f)
	}
}

func (r *report) ok(id, what string)            { r.add(id, OK, what, "") }
func (r *report) note(id, what, mend string)    { r.add(id, Note, what, mend) }
func (r *report) unknown(id, what, mend string) { r.add(id, Unknown, what, mend) }
func (r *report) warn(id, what, mend string)    { r.add(id, Warning, what, mend) }
func (r *report) fail(id, what, mend string)    { r.add(id, Failure, what, mend) }
func (r *report) worst(id string) (worst Severity) {
	order := []Severity{OK, Note, Unknown, Warning, Failure}
	for _, f := range r.Findings {
		if f.ID == id && slices.Index(order, f.Severity) >= slices.Index(order, worst) {
			worst = f.Severity
		}
	}
	return worst
}

// maxText is the length of the longest sentence, in bytes: addresses in them may come from a page.
const maxText = 600

func (r *report) clean(text string) string {
	for _, secret := range r.secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, "(the key)")
		}
	}
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + "..."
	}
	return text
}
