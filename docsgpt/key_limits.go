package docsgpt

import (
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// KeyLimits bound a request in addition to [Limits], because of its key. Zero fields mean no limit.
type KeyLimits struct {
	QuestionChars int // most characters of the question: of the field "question", or of the last message of the user
	HistoryTurns  int // newest turns before the question that are forwarded; older ones are dropped
}

// IsZero reports whether there is no limit.
func (k KeyLimits) IsZero() bool { return k == KeyLimits{} }

// QuestionTooLongError is returned by [Body.CheckKey] for a question with too many characters.
type QuestionTooLongError struct{ Chars, Limit int }

// Error implements error.
func (*QuestionTooLongError) Error() string { return "the question is too long" }

// CheckKey applies the limits of a key to a body that [Body.Check] has accepted. Its error is a [*QuestionTooLongError].
func (b *Body) CheckKey(k KeyLimits) error {
	if k.IsZero() {
		return nil
	}
	for i := range b.fields {
		f := &b.fields[i]
		switch {
		case f.spec.Name == "question":
			text, err := unquote(b.buf[f.start:f.end])
			if err == nil {
				err = k.checkQuestion(string(text))
			}
			if err != nil {
				return err
			}
		case f.spec.Check == CheckHistory && k.HistoryTurns > 0:
			if err := b.checkHistory(f, &Limits{HistoryEntries: k.HistoryTurns, HistorySize: f.end - f.start}); err != nil {
				return err
			}
		case f.spec.Check == CheckMessages:
			if err := b.checkTurns(f, k); err != nil {
				return err
			}
		}
	}
	return nil
}

func (k KeyLimits) checkQuestion(text string) error {
	if n := utf8.RuneCountInString(text); k.QuestionChars > 0 && n > k.QuestionChars {
		return &QuestionTooLongError{Chars: n, Limit: k.QuestionChars}
	}
	return nil
}

// checkTurns checks the last message of the user, and drops the oldest turns of the messages, in place. A turn begins with a
// message of the user. Messages before the first turn, such as those of the system, remain.
func (b *Body) checkTurns(f *field, k KeyLimits) error {
	raw := b.buf[f.start:f.end]
	var messages []jsontext.Value
	if err := json.Unmarshal(raw, &messages); err != nil {
		return errSyntax // cannot happen: the messages were checked
	}
	var turns []int // indexes of the messages of the user
	question := ""
	for i, message := range messages {
		var m struct {
			Role    string `json:"role"`
			Content any    `json:"content"`
		}
		if err := json.Unmarshal(message, &m); err != nil {
			return errSyntax
		}
		if m.Role == "user" {
			turns = append(turns, i)
			question, _ = m.Content.(string)
		}
	}
	if err := k.checkQuestion(question); err != nil {
		return err
	}
	drop := len(turns) - 1 - k.HistoryTurns
	if k.HistoryTurns == 0 || drop <= 0 {
		return nil
	}
	out := make([]byte, 0, len(raw))
	out = append(out, '[')
	for i, message := range messages {
		if i >= turns[0] && i < turns[drop] {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, message...)
	}
	out = append(out, ']')
	f.end = f.start + copy(raw, out)
	return nil
}
