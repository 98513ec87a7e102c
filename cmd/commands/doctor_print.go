package commands

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/docsgate/docsgate/doctor"
)

// titles of the areas of findings.
var titles = map[string]string{
	"config": "Configuration", "docsgpt": "DocsGPT", "backend": "DocsGPT's port", "feeds": "Keys", "gate": "The gate",
	"key": "The key", "stream": "Streaming", "cors": "CORS", "errors": "Errors", "isolation": "The foreign source", "log": "Logs",
	"admin": "Admin endpoint", "console": "Console", "tls": "HTTPS", "page": "The page",
}

// colours of the severities, as terminals know them.
var colours = map[doctor.Severity]string{
	doctor.OK: "32", doctor.Note: "36", doctor.Unknown: "35", doctor.Warning: "33", doctor.Failure: "31;1",
}

// colourful tells whether colours are welcome: at a terminal, unless NO_COLOR says no.
func colourful(w io.Writer) bool {
	f, isFile := w.(*os.File)
	return isFile && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// printFindings prints a report for people.
func printFindings(w io.Writer, r *doctor.Report, colours bool) error {
	var b strings.Builder
	area := ""
	for _, f := range r.Findings {
		if f.Area() != area {
			if area != "" {
				b.WriteString("\n")
			}
			area = f.Area()
			title := titles[area]
			if colours {
				title = "\x1b[1m" + title + "\x1b[0m"
			}
			fmt.Fprintln(&b, title)
		}
		fmt.Fprintf(&b, "  %s  %s\n", badge(f.Severity, colours), wrap(sanitize(f.Summary), "           "))
		if f.Fix != "" {
			fmt.Fprintf(&b, "           %s\n", wrap("To mend it: "+sanitize(f.Fix), "           "))
		}
		if f.Severity != doctor.OK {
			fmt.Fprintf(&b, "           (%s, see %s)\n", f.ID, f.DocsURL)
		}
	}
	fmt.Fprintf(&b, "\n%s\n", summary(r))
	_, err := io.WriteString(w, b.String())
	return err
}

func badge(s doctor.Severity, coloured bool) string {
	word := fmt.Sprintf("%-7s", s)
	if coloured {
		return "\x1b[" + colours[s] + "m" + word + "\x1b[0m"
	}
	return word
}

// wrapWidth is how wide lines are, in characters.
const wrapWidth = 110

// wrap breaks a text into lines; those after the first begin with indent.
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
		{doctor.Unknown, "thing that could not be told", "things that could not be told"},
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
		parts = append(parts, "1 check found nothing wrong")
	default:
		parts = append(parts, fmt.Sprintf("%d checks found nothing wrong", n))
	}
	return strings.Join(parts, ", ") + "."
}

// printFindingsJSON prints a report for programs. Members are only ever added.
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
	if err == nil { // what was found may repeat some of an answer or a page
		_, err = io.WriteString(w, escaped(b.Bytes()))
	}
	return err
}
