package keyindex

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
)

// The texts of a chunk are valid UTF-8, which does not contain these bytes. So a match cannot span two texts.
const (
	endOfText   = 0xff // also precedes each source
	endOfSource = 0xfe // follows each source
)

// fold returns the case-folded form of a text, for case-insensitive comparison. The folded form of a substring is a substring
// of the folded form of the text.
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
