package terminal

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode/utf16"

	"github.com/docsgate/docsgate/internal/displaytext"
)

// PrintJSON prints a JSON value on one line. Characters that control a terminal are escaped. They can occur only inside of strings,
// so the value does not change.
func PrintJSON(w io.Writer, value []byte) error {
	value = bytes.ReplaceAll(value, []byte("\n"), nil)
	_, err := io.WriteString(w, EscapeJSON(value)+"\n")
	return err
}

// EscapeJSON returns JSON with characters that control a terminal escaped. Line ends between values stay.
func EscapeJSON(value []byte) string {
	var b strings.Builder
	for _, r := range string(value) {
		switch {
		case r == '\n':
			b.WriteRune(r)
		case r == '\r', r == '\t': // unescaped, they occur only between values
			b.WriteByte(' ')
		case displaytext.IsNonPrinting(r):
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
