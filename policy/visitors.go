package policy

import "errors"

// Visitors is whether a key accepts signed tokens of visitors.
type Visitors uint8

// The values.
const (
	VisitorsOff      Visitors = iota // only the key's own token is valid
	VisitorsOptional                 // both the key's own token and signed tokens are valid
	VisitorsRequired                 // only signed tokens are valid
)

// String returns "off", "optional" or "required".
func (v Visitors) String() string {
	switch v {
	case VisitorsOptional:
		return "optional"
	case VisitorsRequired:
		return "required"
	case VisitorsOff:
	}
	return "off"
}

// ParseVisitors is the inverse of String.
func ParseVisitors(text string) (Visitors, error) {
	for _, v := range []Visitors{VisitorsOff, VisitorsOptional, VisitorsRequired} {
		if text == v.String() {
			return v, nil
		}
	}
	return VisitorsOff, errors.New(`visitors must be "off", "optional" or "required"`)
}

// MarshalText implements encoding.TextMarshaler.
func (v Visitors) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (v *Visitors) UnmarshalText(text []byte) (err error) {
	*v, err = ParseVisitors(string(text))
	return err
}

// LowerNumbers returns the limits, with the numbers of a visitor's token where they are lower. Its rates are ignored: of two rates, neither
// needs to be the lower one, so both must be checked.
func (l Limits) LowerNumbers(token *Limits) Limits {
	for _, f := range limitFields {
		limit, lower := f.of(&l), *f.of(token)
		if !f.isRate && lower.value > 0 && (limit.value == 0 || lower.value < limit.value) {
			*limit = lower
		}
	}
	return l
}
