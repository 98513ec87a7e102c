package docsgpt

import (
	"errors"
	"fmt"
)

// Limits bound what one request may have DocsGPT do. DocsGPT counts the tokens of each text several times, and its
// handling of a history grows with the square of the number of entries. Zero fields mean the default.
type Limits struct {
	HistoryEntries int // pairs of a history that are forwarded; older ones are dropped
	HistorySize    int // bytes of a history as it is forwarded; the oldest pairs are dropped
	Messages       int // number of chat messages; more are an error
	MessagesSize   int // bytes of all texts in chat messages, calls of tools included; more are an error
	TextSize       int // bytes of a single text, such as the question or one message; more are an error
}

// DefaultLimits are what no honest conversation reaches: DocsGPT 1.1.0 takes about 0.1 s for the largest number of
// entries, and 0.4 s for a text of the largest size of the kind that its tokenizer is slowest with.
var DefaultLimits = Limits{
	HistoryEntries: 500,
	HistorySize:    256 << 10,
	Messages:       1000,
	MessagesSize:   512 << 10,
	TextSize:       256 << 10,
}

// Validate reports whether the limits make sense.
func (l Limits) Validate() error {
	if min(l.HistoryEntries, l.HistorySize, l.Messages, l.MessagesSize, l.TextSize) < 0 {
		return errors.New("a limit is negative")
	}
	return nil
}

// withDefaults returns the limits with the default in place of each zero.
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

// SetLimits sets the limits of all endpoints, which are [DefaultLimits] before. It must be called before the routes are
// used.
func (r *Routes) SetLimits(l Limits) {
	l = l.withDefaults()
	for _, e := range r.Endpoints() {
		e.limits = &l
	}
}

// checkText bounds a member that is a text, or an object or a list of them. raw has quotes or brackets.
func (l *Limits) checkText(m *Field, raw []byte) error {
	if len(raw)-2 <= l.TextSize {
		return nil
	}
	return fmt.Errorf("the member %q is too long: at most %d bytes are accepted", m.Name, l.TextSize)
}
