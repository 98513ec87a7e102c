package visitortoken

import (
	"errors"
	"time"

	"github.com/docsgate/docsgate/policy"
)

// Visitor is what a verified token says about the visitor. It is shared between goroutines and never changes.
type Visitor struct {
	ID      string          // 1 to 128 of the characters that IsValidVisitor allows
	Origins []policy.Origin // the web origin that may use the token; none: those of the key
	Limits  policy.Limits   // apply where they are lower than those of the key

	// Generation is that of the key when the token was signed.
	Generation uint32

	issued, notBefore time.Time
	expires           time.Time // exclusive, without the leeway
	secretUntil       time.Time // end of the secret that the token was verified with; zero: none
}

// Errors of CheckTime.
var (
	ErrExpired     = errors.New("the token has expired")
	ErrNotYetValid = errors.New("the token is not yet valid: check the clock of the server that signs")
)

// CheckTime returns ErrExpired or ErrNotYetValid if the token is not valid at a time. It does not allocate.
func (v *Visitor) CheckTime(now time.Time) error {
	switch {
	case !now.Before(v.expires.Add(Leeway)), !v.secretUntil.IsZero() && !now.Before(v.secretUntil):
		return ErrExpired
	case v.issued.After(now.Add(Leeway)), v.notBefore.After(now.Add(Leeway)):
		return ErrNotYetValid
	}
	return nil
}

// Expires returns the time at which the token expires, without the leeway.
func (v *Visitor) Expires() time.Time { return v.expires }

// IsValidVisitor reports whether a text can be the ID of a visitor: 1 to 128 ASCII letters, digits or the characters
// "._-:@|+=/". It excludes all characters that have a meaning in logs, JSON or prompt templates.
func IsValidVisitor(id string) bool {
	if id == "" || len(id) > MaxVisitorLength {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '.', c == '_', c == '-', c == ':', c == '@', c == '|', c == '+', c == '=', c == '/':
		default:
			return false
		}
	}
	return true
}
