package api

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/docsgate/docsgate/internal/duration"
)

// timeLimit is a time in a body: in RFC 3339 format, or a duration from the request on, such as 90d. The zero value is the zero time.
type timeLimit struct {
	moment
	after    time.Duration
	relative bool // after is given
}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (l *timeLimit) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() != '"' {
		if err := dec.SkipValue(); err != nil {
			return err
		}
		return &valueError{timeLimitFormat}
	}
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	text := token.String()
	if l.after, err = duration.Parse(text); err == nil {
		l.relative = true
		return nil
	}
	if !l.parse(text) {
		return &valueError{timeLimitFormat}
	}
	return nil
}

const timeLimitFormat = "must be a time such as 2027-01-31T00:00:00Z, after 1970, or a duration such as 90d, 2w or 1y"

// at returns the time, given that of the request, in whole seconds if it is relative.
func (l *timeLimit) at(now time.Time) time.Time {
	if l.relative {
		return now.Add(l.after).UTC().Truncate(time.Second)
	}
	return l.Time
}

// optionalTime is a new value for a time limit; null removes the limit.
type optionalTime struct {
	set bool
	to  timeLimit
}

func (*optionalTime) nullable() {}

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (c *optionalTime) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	c.set = true
	if dec.PeekKind() == 'n' {
		return dec.SkipValue()
	}
	return c.to.UnmarshalJSONFrom(dec)
}

// at returns nil if the field is absent, and the zero time for null.
func (c *optionalTime) at(now time.Time) *time.Time {
	if !c.set {
		return nil
	}
	return new(c.to.at(now))
}
