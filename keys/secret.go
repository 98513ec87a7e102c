package keys

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "REDACTED"

// Secret is a text that must not be shown, such as an upstream agent key. However it is printed, encoded or logged, the output
// is "REDACTED", even for the zero value. Only Reveal returns the text.
//
// The text is behind a pointer because fmt does not call the methods of values in unexported fields: it would print a string
// there, but only the address of a pointer. Compare secrets with Equal, not with ==.
type Secret struct{ text *string }

// NewSecret returns a Secret that contains s, or the zero Secret if s is empty.
func NewSecret(s string) Secret {
	if s == "" {
		return Secret{}
	}
	return Secret{text: &s}
}

// Reveal returns the text. Use it only where the text is sent upstream.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether the text is empty.
func (s Secret) IsZero() bool { return s.text == nil }

// Equal reports whether both contain the same text. Its running time depends on the texts, so it is meant for configured values
// and not for values that clients present.
func (s Secret) Equal(other Secret) bool { return s.Reveal() == other.Reveal() }

// String returns "REDACTED".
func (s Secret) String() string { return redacted }

// GoString returns "REDACTED".
func (s Secret) GoString() string { return redacted }

// Format prints "REDACTED" for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns "REDACTED".
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns "REDACTED" as a JSON string.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// LogValue returns "REDACTED".
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
