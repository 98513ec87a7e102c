package terminal

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/bidi"
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
		case IsNonPrinting(r):
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

// IsNonPrinting reports whether a character is invisible or controls the display. The zero-width joiners, which scripts and emoji
// need, are not reported.
func IsNonPrinting(r rune) bool {
	const zeroWidthNonJoiner, zeroWidthJoiner = '\u200c', '\u200d'
	switch {
	case r == zeroWidthNonJoiner || r == zeroWidthJoiner:
		return false
	case unicode.Is(unicode.Cc, r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Zl, r), unicode.Is(unicode.Zp, r):
		return true
	case unicode.Is(unicode.Co, r), r >= 0xFDD0 && r <= 0xFDEF, r&0xFFFE == 0xFFFE:
		return true
	}
	return r == '\u115f' || r == '\u1160' || r == '\u3164' || r == '\uffa0' // Hangul fillers: letters that show as blanks
}
