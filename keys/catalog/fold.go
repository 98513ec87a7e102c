package catalog

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
)

// Texts of a chunk are valid UTF-8, in which these bytes do not occur; so nothing that is searched for reaches from one text
// into the next.
const (
	endOfText   = 0xff // also stands before each source
	endOfSource = 0xfe // stands after each source
)

// fold returns a text as it is compared where case does not matter. What fold makes of a piece of a text is a piece of what
// it makes of the whole.
func fold(s string) string { return string(appendFolded(nil, s)) }

func appendFolded(b []byte, s string) []byte {
	start := len(b)
	for i := range len(s) {
		c := s[i]
		if c >= utf8.RuneSelf {
			return append(b[:start], cases.Fold().String(strings.ToValidUTF8(s, "\uFFFD"))...)
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}
