package terminal

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/bidi"

	"github.com/docsgate/docsgate/internal/displaytext"
)

// leftToRight is the mark after a right-to-left text that keeps the following text in its place.
const leftToRight = "\u200e"

// Sanitize makes untrusted text safe to print on one line of a terminal: control characters, invisible characters and characters
// that change the direction of text are written as <U+202E>.
func Sanitize(text string) string {
	var b strings.Builder
	rightToLeft := false
	for i, r := range text {
		switch {
		case r == utf8.RuneError:
			if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
				fmt.Fprintf(&b, "<%02X>", text[i])
				continue
			}
			b.WriteRune(r)
		case r == '\t':
			b.WriteByte(' ')
		case displaytext.IsNonPrinting(r):
			fmt.Fprintf(&b, "<U+%04X>", r)
		default:
			b.WriteRune(r)
			if p, _ := bidi.LookupRune(r); p.Class() == bidi.R || p.Class() == bidi.AL {
				rightToLeft = true
			}
		}
	}
	if rightToLeft {
		b.WriteString(leftToRight)
	}
	return b.String()
}

// SanitizeLines is like Sanitize for a text of several lines, such as an error that quotes a response.
func SanitizeLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = Sanitize(lines[i])
	}
	return strings.Join(lines, "\n")
}
