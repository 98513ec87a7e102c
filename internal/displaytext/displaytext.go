// Package displaytext makes untrusted text safe to be shown in lists, logs and on terminals.
package displaytext

import (
	"strings"
	"unicode"
)

// joiners are the zero-width joiners, which scripts and emoji need between their characters.
const joiners = "\u200c\u200d"

// Line returns a text as one line of at most limit characters. White space and control characters become single spaces, invalid
// UTF-8 becomes U+FFFD, and a text that is cut ends with an ellipsis. Invisible characters remain: names in some scripts need them.
func Line(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || BreaksLine(r) {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > limit {
		text = strings.TrimRight(string(runes[:limit-1]), " ") + "…"
	}
	return text
}

// PrintableLine is like Line, but drops the characters that IsNonPrinting reports. A text that would be shown as blank is "".
func PrintableLine(text string, limit int) string {
	text = strings.Map(func(r rune) rune {
		if IsNonPrinting(r) && !BreaksLine(r) {
			return -1
		}
		return r
	}, text)
	if !strings.ContainsFunc(text, isVisible) {
		return ""
	}
	return Line(text, limit)
}

// isVisible reports whether a character is neither white space nor a joiner. A text without such a character is shown as blank.
func isVisible(r rune) bool {
	return !unicode.IsSpace(r) && !BreaksLine(r) && !strings.ContainsRune(joiners, r)
}

// BreaksLine reports whether a character must not be in a text of one line: control characters, and the separators of lines and
// paragraphs.
func BreaksLine(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

// IsNonPrinting reports whether a character is invisible or controls the display, such as the direction of text. The zero-width
// joiners are not reported.
func IsNonPrinting(r rune) bool {
	switch {
	case strings.ContainsRune(joiners, r):
		return false
	case BreaksLine(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r):
		return true
	case r >= 0xFDD0 && r <= 0xFDEF, r&0xFFFE == 0xFFFE: // noncharacters
		return true
	}
	return r == '\u115f' || r == '\u1160' || r == '\u3164' || r == '\uffa0' // Hangul fillers: letters that show as blanks
}
