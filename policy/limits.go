package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/docsgate/docsgate/ratelimit"
)

// Limit is one limit. The zero value is not set: the default applies.
type Limit struct {
	off   bool
	value int
	rate  ratelimit.Rate // only of rates, in place of value
}

// Off returns a limit that is switched off.
func Off() Limit { return Limit{off: true} }

// IsZero reports whether the limit is not set.
func (l Limit) IsZero() bool { return l == Limit{} }

// Count returns the limit, or 0 if it is off or not set.
func (l Limit) Count() int { return l.value }

// Rate returns the limit as a rate, or the zero value if it is off or not set.
func (l Limit) Rate() ratelimit.Rate { return l.rate }

// or returns the limit, or def if it is not set.
func (l Limit) or(def Limit) Limit {
	if l.IsZero() {
		return def
	}
	return l
}

// String returns the text that Limits.Set parses: "600/1m", "50", "off", or "" if the limit is not set.
func (l Limit) String() string {
	switch {
	case l.off:
		return "off"
	case l.IsZero():
		return ""
	case l.rate.IsZero():
		return strconv.Itoa(l.value)
	default:
		return l.rate.String()
	}
}

// MarshalJSON implements json.Marshaler: a number, or a text for rates and "off".
func (l Limit) MarshalJSON() ([]byte, error) {
	if !l.off && l.rate.IsZero() {
		return []byte(strconv.Itoa(l.value)), nil
	}
	return json.Marshal(l.String())
}

// Limits are the limits of a key, or the defaults of a site.
type Limits struct {
	Requests        Limit `json:"requests,omitzero"`         // rate of all clients of the key
	VisitorRequests Limit `json:"visitor_requests,omitzero"` // rate of one visitor
	Streams         Limit `json:"streams,omitzero"`          // answers in flight, of all clients
	VisitorStreams  Limit `json:"visitor_streams,omitzero"`  // answers in flight, of one visitor

	QuestionsPerDay   Limit `json:"questions_per_day,omitzero"`   // answers of all clients of the key
	QuestionsPerMonth Limit `json:"questions_per_month,omitzero"` // the same in a calendar month
	TokensPerDay      Limit `json:"tokens_per_day,omitzero"`      // tokens of the model, of prompts and answers

	QuestionChars Limit `json:"question_chars,omitzero"` // characters of a question
	HistoryTurns  Limit `json:"history_turns,omitzero"`  // newest pairs of the history that are forwarded

	Weight Limit `json:"weight,omitzero"` // share of the queue for answers, in relation to other keys; not set: 1
}

// DefaultLimits are the limits of a site that does not set them. They are far above what people do, and bound what one address can
// cost: see docs/policies.md.
func DefaultLimits() Limits {
	return Limits{
		VisitorRequests: Limit{rate: ratelimit.Rate{Count: 300, Per: time.Minute}},
		VisitorStreams:  Limit{value: 8},
	}
}

// NoLimits returns limits that are all switched off. The weight is not set.
func NoLimits() (l Limits) {
	for _, f := range limitFields {
		if f.name != weightName {
			*f.of(&l) = Off()
		}
	}
	return l
}

// limitField is one of the limits by name.
type limitField struct {
	name   string
	isRate bool
	most   int // of a number
	of     func(*Limits) *Limit
}

// weightName is the name of the weight, which is set as a limit, but limits nothing, so it cannot be off.
const weightName = "weight"

var limitFields = []limitField{
	{"requests", true, 0, func(l *Limits) *Limit { return &l.Requests }},
	{"visitor_requests", true, 0, func(l *Limits) *Limit { return &l.VisitorRequests }},
	{"streams", false, 1e6, func(l *Limits) *Limit { return &l.Streams }},
	{"visitor_streams", false, 1e6, func(l *Limits) *Limit { return &l.VisitorStreams }},
	{"questions_per_day", false, 1e9, func(l *Limits) *Limit { return &l.QuestionsPerDay }},
	{"questions_per_month", false, 1e9, func(l *Limits) *Limit { return &l.QuestionsPerMonth }},
	{"tokens_per_day", false, 1e9, func(l *Limits) *Limit { return &l.TokensPerDay }},
	{"question_chars", false, 1e6, func(l *Limits) *Limit { return &l.QuestionChars }},
	{"history_turns", false, 1e6, func(l *Limits) *Limit { return &l.HistoryTurns }},
	{weightName, false, 100, func(l *Limits) *Limit { return &l.Weight }},
}

// LimitNames returns the names of all limits, in the order of the documentation.
func LimitNames() []string {
	names := make([]string, len(limitFields))
	for i, f := range limitFields {
		names[i] = f.name
	}
	return names
}

// Set sets a limit by its name from text: a number, a rate such as 600/1m, or "off". The error is for users, and
// repeats neither the name nor the text, which may be a pasted token.
func (l *Limits) Set(name, text string) error {
	for _, f := range limitFields {
		if f.name == name {
			limit, err := f.parse(text)
			if err == nil {
				*f.of(l) = limit
			}
			return err
		}
	}
	// The name could be a secret in the wrong place.
	return errors.New("unknown limit: must be one of " + strings.Join(LimitNames(), ", "))
}

// Unset removes a limit by its name, so that the default applies. An unknown name has no effect.
func (l *Limits) Unset(name string) {
	for _, f := range limitFields {
		if f.name == name {
			*f.of(l) = Limit{}
		}
	}
}

// Get returns a limit by its name. ok is false if there is no limit with that name.
func (l *Limits) Get(name string) (limit Limit, ok bool) {
	for _, f := range limitFields {
		if f.name == name {
			return *f.of(l), true
		}
	}
	return Limit{}, false
}

// ParseRate parses the text of a limit that is a rate, such as 600/1m, or "off". name is for errors, which do not repeat the text.
func ParseRate(name, text string) (Limit, error) {
	return (&limitField{name: name, isRate: true}).parse(text)
}

func (f *limitField) parse(text string) (Limit, error) {
	orOff := `, or "off"`
	if f.name == weightName {
		orOff = ""
	} else if text == "off" {
		return Off(), nil
	}
	if f.isRate {
		if !strings.Contains(text, "/") {
			return Limit{}, fmt.Errorf(`%s must be a number of requests per time, such as 600/1m, or "off"`, f.name)
		}
		rate, err := ratelimit.ParseRate(text)
		if err == nil && rate.Per%time.Second != 0 {
			err = errors.New("the time of a rate must be whole seconds")
		}
		if err != nil {
			return Limit{}, fmt.Errorf("%s: %w", f.name, err)
		}
		return Limit{rate: rate}, nil
	}
	count, err := strconv.Atoi(text)
	switch {
	case err != nil:
		return Limit{}, fmt.Errorf("%s must be a number%s", f.name, orOff)
	case count < 1 || count > f.most:
		return Limit{}, fmt.Errorf("%s must be from 1 to %d%s", f.name, f.most, orOff)
	}
	return Limit{value: count}, nil
}

// Validate returns an error if a limit of one visitor is above that of all clients.
func (l *Limits) Validate() error {
	if l.Streams.value > 0 && l.VisitorStreams.value > l.Streams.value {
		return errors.New("visitor_streams must not be above streams")
	}
	return nil
}

// Or returns the limits, with those of def in place of the ones that are not set.
func (l *Limits) Or(def *Limits) Limits {
	// Not a loop over limitFields, since every request calls it: that allocates, and takes several times as long.
	return Limits{
		Requests:          l.Requests.or(def.Requests),
		VisitorRequests:   l.VisitorRequests.or(def.VisitorRequests),
		Streams:           l.Streams.or(def.Streams),
		VisitorStreams:    l.VisitorStreams.or(def.VisitorStreams),
		QuestionsPerDay:   l.QuestionsPerDay.or(def.QuestionsPerDay),
		QuestionsPerMonth: l.QuestionsPerMonth.or(def.QuestionsPerMonth),
		TokensPerDay:      l.TokensPerDay.or(def.TokensPerDay),
		QuestionChars:     l.QuestionChars.or(def.QuestionChars),
		HistoryTurns:      l.HistoryTurns.or(def.HistoryTurns),
		Weight:            l.Weight.or(def.Weight),
	}
}

// UnmarshalJSON implements json.Unmarshaler. A value is a number, a rate, "off" or false; null is not set.
func (l *Limits) UnmarshalJSON(data []byte) error {
	var raw map[string]any
	if err := json.Unmarshal(data, &raw); err != nil {
		return errors.New("limits must be an object with numbers, rates or \"off\"")
	}
	var limits Limits
	for name, value := range raw {
		text, ok := limitText(value)
		if !ok {
			return errors.New(`a limit must be a number, a rate such as "600/1m", or "off"`)
		}
		if text == "" {
			continue
		}
		if err := limits.Set(name, text); err != nil {
			return err
		}
	}
	*l = limits
	return nil
}

// limitText returns the text of a JSON value for Set; "" for null.
func limitText(value any) (text string, ok bool) {
	switch v := value.(type) {
	case nil:
		return "", true
	case string:
		return v, v != ""
	case bool:
		return "off", !v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	}
	return "", false
}
