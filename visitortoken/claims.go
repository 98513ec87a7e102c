package visitortoken

import (
	"errors"
	"math"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"

	"github.com/docsgate/docsgate/policy"
)

// claims are the claims of a token, as decoded. Times are in seconds since 1970; libraries may write fractions.
type claims struct {
	jwt.Claims `json:"-"` // nil: the parser does not validate claims

	Subject    string         `json:"sub"`
	IssuedAt   *float64       `json:"iat"`
	Expires    *float64       `json:"exp"`
	NotBefore  *float64       `json:"nbf,omitzero"`
	Origin     *policy.Origin `json:"origin,omitzero"`
	Limits     *visitorLimits `json:"limits,omitzero"`
	Generation uint32         `json:"generation,omitzero"`
}

// decodedClaims has no methods, so that UnmarshalJSON does not call itself.
type decodedClaims claims

// UnmarshalJSON decodes the claims. Duplicate and unknown claims are errors.
func (c *claims) UnmarshalJSON(data []byte) error {
	var decoded decodedClaims
	if err := json.Unmarshal(data, &decoded, strict); err != nil {
		return errors.New("the claims are not valid")
	}
	*c = claims(decoded)
	return nil
}

// visitor validates the claims, except for the time.
func (c *claims) visitor() (*Visitor, error) {
	if !IsValidVisitor(c.Subject) || c.IssuedAt == nil || c.Expires == nil || c.Generation > MaxGeneration {
		return nil, ErrInvalid
	}
	v := &Visitor{ID: c.Subject, Generation: c.Generation}
	var ok, notBeforeOK bool
	if v.issued, ok = timeOf(*c.IssuedAt); !ok {
		return nil, ErrInvalid
	}
	if v.expires, ok = timeOf(*c.Expires); !ok {
		return nil, ErrInvalid
	}
	if c.NotBefore != nil {
		if v.notBefore, notBeforeOK = timeOf(*c.NotBefore); !notBeforeOK {
			return nil, ErrInvalid
		}
	}
	if lifetime := v.expires.Sub(v.issued); lifetime <= 0 || lifetime > MaxLifetime {
		return nil, ErrInvalid
	}
	if c.Origin != nil {
		if !isOneOrigin(*c.Origin) {
			return nil, ErrInvalid
		}
		v.Origins = []policy.Origin{*c.Origin}
	}
	if c.Limits != nil {
		v.Limits = policy.Limits(*c.Limits)
	}
	return v, nil
}

// timeOf converts a time in seconds since 1970.
func timeOf(seconds float64) (time.Time, bool) {
	if !(seconds > 0 && seconds <= maxTime) {
		return time.Time{}, false
	}
	whole, fraction := math.Modf(seconds)
	return time.Unix(int64(whole), int64(fraction*1e9)), true
}

// isOneOrigin reports whether a pattern is the origin of a page, and neither a set of origins nor "null".
func isOneOrigin(o policy.Origin) bool {
	text := o.String()
	return strings.Contains(text, "://") && !strings.Contains(text, "*")
}

// visitorLimits are the limits that a token may contain.
type visitorLimits policy.Limits

// LimitNames are the names of the limits that a token may contain: those that apply to one visitor.
var LimitNames = []string{"visitor_requests", "visitor_streams", "question_chars", "history_turns"}

// UnmarshalJSON decodes the limits. "off" and the limits of all clients are errors.
func (l *visitorLimits) UnmarshalJSON(data []byte) error {
	var limits policy.Limits
	if err := json.Unmarshal(data, &limits, json.RejectUnknownMembers(true)); err != nil {
		return err
	}
	if err := checkLimits(&limits); err != nil {
		return err
	}
	*l = visitorLimits(limits)
	return nil
}

// checkLimits returns an error if a token must not contain the limits.
func checkLimits(l *policy.Limits) error {
	visitor := policy.Limits{
		VisitorRequests: l.VisitorRequests, VisitorStreams: l.VisitorStreams, QuestionChars: l.QuestionChars, HistoryTurns: l.HistoryTurns,
	}
	if visitor != *l {
		return errors.New("a token can only lower the limits visitor_requests, visitor_streams, question_chars and history_turns")
	}
	for _, name := range LimitNames {
		if limit, _ := l.Get(name); limit.String() == "off" {
			return errors.New("a token can only lower limits, not switch them off")
		}
	}
	return nil
}
