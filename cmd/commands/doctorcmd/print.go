package doctorcmd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
	"github.com/docsgate/docsgate/doctor"
)

// titles are the headings of the areas of findings.
var titles = map[string]string{
	"config": "Configuration", "docsgpt": "DocsGPT", "backend": "DocsGPT port", "feeds": "Keys", "gate": "Gate",
	"key": "Key", "stream": "Streaming", "cors": "CORS", "errors": "Errors", "isolation": "Isolation", "log": "Logs",
	"admin": "Admin endpoint", "console": "Console", "tls": "HTTPS", "page": "Page",
}

// colors are the ANSI color codes of the severities.
var colors = map[doctor.Severity]string{
	doctor.OK: "32", doctor.Note: "36", doctor.Warning: "33", doctor.Failure: "31;1",
}

// useColors reports whether w is a terminal that shows colors, and NO_COLOR is not set.
func useColors(w io.Writer) bool {
	f, isFile := w.(*os.File)
	return isFile && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// printFindings prints a report as text. What could not be checked is at the end: it is not a problem of the deployment, and some of it
// can never be checked, depending on where the doctor runs.
func printFindings(w io.Writer, r *doctor.Report, color bool) error {
	var b strings.Builder
	heading := ""
	begin := func(title string) {
		if title == heading {
			return
		}
		if heading != "" {
			b.WriteString("\n")
		}
		heading = title
		if color {
			title = "\x1b[1m" + title + "\x1b[0m"
		}
		fmt.Fprintln(&b, title)
	}
	for _, f := range r.Findings {
		if f.Severity != doctor.Unknown {
			begin(titles[f.Area()])
			printFinding(&b, f, "Fix: ", color)
		}
	}
	for _, f := range r.Findings {
		if f.Severity == doctor.Unknown {
			begin("Not checked")
			printFinding(&b, f, "To check it: ", color)
		}
	}
	fmt.Fprintf(&b, "\n%s\n", summary(r))
	_, err := io.WriteString(w, b.String())
	return err
}

// printFinding prints a finding. begin is the beginning of the line about what to do.
func printFinding(b *strings.Builder, f doctor.Finding, begin string, color bool) {
	const indent = "           "
	fmt.Fprintf(b, "  %s  %s\n", badge(f.Severity, color), wrap(terminal.Sanitize(f.Summary), indent))
	if f.Fix != "" {
		fmt.Fprintf(b, "%s%s\n", indent, wrap(begin+terminal.Sanitize(f.Fix), indent))
	}
	if f.Severity != doctor.OK {
		fmt.Fprintf(b, "%s(%s, see %s)\n", indent, f.ID, f.DocsURL)
	}
}

func badge(s doctor.Severity, color bool) string {
	word := fmt.Sprintf("%-7s", s)
	if s == doctor.Unknown {
		return fmt.Sprintf("%-7s", "-")
	}
	if color {
		return "\x1b[" + colors[s] + "m" + word + "\x1b[0m"
	}
	return word
}

// wrapWidth is the maximum width of a line in characters.
const wrapWidth = 110

// wrap breaks a text into lines of at most wrapWidth. Lines after the first begin with indent, and the first one's width includes it.
func wrap(text, indent string) string {
	var b strings.Builder
	width := len(indent)
	for i, word := range strings.Fields(text) {
		n := len([]rune(word))
		switch {
		case i == 0:
		case width+1+n > wrapWidth:
			b.WriteString("\n" + indent)
			width = len(indent)
		default:
			b.WriteByte(' ')
			width++
		}
		b.WriteString(word)
		width += n
	}
	return b.String()
}

func summary(r *doctor.Report) string {
	var parts []string
	for _, s := range []struct {
		severity  doctor.Severity
		one, many string
	}{
		{doctor.Failure, "failure", "failures"},
		{doctor.Warning, "warning", "warnings"},
		{doctor.Note, "note", "notes"},
	} {
		if n := r.Count(s.severity); n == 1 {
			parts = append(parts, "1 "+s.one)
		} else if n > 1 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s.many))
		}
	}
	switch n := r.Count(doctor.OK); n {
	case 0:
	case 1:
		parts = append(parts, "1 check passed")
	default:
		parts = append(parts, fmt.Sprintf("%d checks passed", n))
	}
	if n := r.Count(doctor.Unknown); n > 0 {
		parts = append(parts, fmt.Sprintf("%d not checked", n))
	}
	return strings.Join(parts, ", ") + "."
}

// printFindingsJSON prints a report as JSON. Fields are only added, never changed or removed, while the version stays the same.
func printFindingsJSON(w io.Writer, r *doctor.Report) error {
	counts := map[doctor.Severity]int{}
	for _, s := range []doctor.Severity{doctor.OK, doctor.Note, doctor.Unknown, doctor.Warning, doctor.Failure} {
		counts[s] = r.Count(s)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(struct {
		Version  int                     `json:"version"`
		Counts   map[doctor.Severity]int `json:"counts"`
		Findings []doctor.Finding        `json:"findings"`
	}{1, counts, r.Findings})
	if err == nil { // findings may quote responses and pages
		_, err = io.WriteString(w, terminal.EscapeJSON(b.Bytes()))
	}
	return err
}
