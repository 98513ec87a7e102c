package docsgpt

import (
	"errors"
	"fmt"
)

// Limits bounds the work that one request can cause in DocsGPT, which counts the tokens of each text several times, and
// needs time quadratic in the number of history entries. Zero fields mean the default.
type Limits struct {
	HistoryEntries int // most pairs of a history to forward; older ones are dropped
	HistorySize    int // most bytes of a history to forward; the oldest pairs are dropped
	Messages       int // most chat messages; more are an error
	MessagesSize   int // most bytes of all texts in chat messages, including tool calls; more are an error
	TextSize       int // most bytes of a single text, such as the question or one message; more are an error
}

// DefaultLimits are above any realistic conversation. DocsGPT 1.1.0 needs about 0.1 s for the largest number of entries,
// and 0.4 s for a text of the largest size that is the worst case for its tokenizer.
var DefaultLimits = Limits{
	HistoryEntries: 500,
	HistorySize:    256 << 10,
	Messages:       1000,
	MessagesSize:   512 << 10,
	TextSize:       256 << 10,
}

// Validate returns an error if a limit must not be negative.
func (l Limits) Validate() error {
	if min(l.HistoryEntries, l.HistorySize, l.Messages, l.MessagesSize, l.TextSize) < 0 {
		return errors.New("a limit must not be negative")
	}
	return nil
}

// withDefaults returns the limits with zero fields replaced by the defaults.
func (l Limits) withDefaults() Limits {
	for _, f := range []struct{ value, otherwise *int }{
		{&l.HistoryEntries, &DefaultLimits.HistoryEntries},
		{&l.HistorySize, &DefaultLimits.HistorySize},
		{&l.Messages, &DefaultLimits.Messages},
		{&l.MessagesSize, &DefaultLimits.MessagesSize},
		{&l.TextSize, &DefaultLimits.TextSize},
	} {
		if *f.value == 0 {
			*f.value = *f.otherwise
		}
	}
	return l
}

// SetLimits sets the limits of all endpoints, which start with [DefaultLimits]. It must be called before the routes are
// used.
func (r *Routes) SetLimits(l Limits) {
	l = l.withDefaults()
	for _, e := range r.Endpoints() {
		e.limits = &l
	}
}

// checkText bounds a field that is a text, or an object or list of texts. raw includes the quotes or brackets.
func (l *Limits) checkText(m *Field, raw []byte) error {
	if len(raw)-2 <= l.TextSize {
		return nil
	}
	return fmt.Errorf("the field %q is too long: at most %d bytes are accepted", m.Name, l.TextSize)
}
