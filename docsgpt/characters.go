package docsgpt

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// byteOrderMark is the encoding of U+FEFF that some programs write before a text in UTF-8. DocsGPT skips it, too.
var byteOrderMark = []byte("\ufeff")

// errSurrogate is a syntax error that names its cause: Python reads such an escape, but cannot encode the text.
var errSurrogate = errors.New(`the body contains half of a surrogate pair, such as \ud800, which is not a character`)

// syntaxError returns the error for a body that the decoder has rejected with err.
func syntaxError(err error) error {
	if strings.Contains(err.Error(), "surrogate pair") { // the decoder exports no error of its own for this
		return errSurrogate
	}
	return errSyntax
}

// checkCharacters returns an error if a raw value contains a NUL character, which is valid in JSON but which PostgreSQL
// cannot store. DocsGPT 1.1 then fails with a response that blames its own database, after the whole answer. In a
// history a NUL is harmless, since DocsGPT does not store it: one that an earlier answer contained must not end the
// conversation.
func checkCharacters(m *Field, raw []byte) error {
	if m.Check != CheckHistory && containsNUL(raw) {
		return fmt.Errorf("the field %q contains a NUL character (U+0000): remove it", m.Name)
	}
	return nil
}

// containsNUL reports whether a valid JSON value contains the escape of a NUL character. A literal one is a syntax error.
func containsNUL(raw []byte) bool {
	escape := []byte(`\u0000`)
	for i := 0; ; i++ {
		n := bytes.Index(raw[i:], escape)
		if n < 0 {
			return false
		}
		i += n
		before := i
		for raw[before-1] == '\\' { // in range: the value begins with a quote or a bracket
			before--
		}
		if (i-before)%2 == 0 {
			return true
		}
	}
}
