package ui

import (
	"slices"
	"strings"
)

// The characters that change the direction of text: those that begin something, and the two that end it.
const (
	embeddings = "\u202a\u202b\u202d\u202e"
	isolates   = "\u2066\u2067\u2068"

	popEmbedding = '\u202c'
	popIsolate   = '\u2069'
)

// balanceBidi returns a text that leaves the direction of what follows alone: what it begins is ended, and it ends nothing that
// it has not begun. An element that isolates its text cannot see to that, since a browser pairs these characters across
// its end.
func balanceBidi(text string) string {
	if !strings.ContainsAny(text, embeddings+isolates+string(popIsolate)) {
		return text
	}
	var out strings.Builder
	var open []rune // what is to be ended, the outermost first
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
