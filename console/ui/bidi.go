package ui

import (
	"slices"
	"strings"
)

// The bidi control characters: the initiators of embeddings and isolates, and their terminators.
const (
	embeddings = "\u202a\u202b\u202d\u202e"
	isolates   = "\u2066\u2067\u2068"

	popEmbedding = '\u202c'
	popIsolate   = '\u2069'
)

// balanceBidi balances the bidi control characters of a text, so that it does not change the direction of the text after it: it
// adds missing terminators and drops unmatched ones. A <bdi> element is not sufficient, since browsers pair these characters
// across its end.
func balanceBidi(text string) string {
	if !strings.ContainsAny(text, embeddings+isolates+string(popIsolate)) {
		return text
	}
	var out strings.Builder
	var open []rune // pending terminators, outermost first
	for _, c := range text {
		switch {
		case strings.ContainsRune(embeddings, c):
			open = append(open, popEmbedding)
		case strings.ContainsRune(isolates, c):
			open = append(open, popIsolate)
		case c == popEmbedding && len(open) > 0 && open[len(open)-1] == popEmbedding:
			open = open[:len(open)-1]
		case c == popIsolate:
			at := len(open) - 1
			for at >= 0 && open[at] != popIsolate {
				at--
			}
			if at < 0 {
				continue
			}
			open = open[:at]
		}
		out.WriteRune(c)
	}
	for _, c := range slices.Backward(open) {
		out.WriteRune(c)
	}
	return out.String()
}
