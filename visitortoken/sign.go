package visitortoken

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/docsgate/docsgate/policy"
)

// Request describes a token to sign.
type Request struct {
	KeyID      string         // of the gate's key
	Visitor    string         // see IsValidVisitor
	Lifetime   time.Duration  // whole seconds; from a second to MaxLifetime
	Origin     *policy.Origin // nil: the origins of the key
	Limits     policy.Limits  // only those in LimitNames
	Generation uint32         // of the key's settings
}

// FieldError is an error in one field of a Request. Field is visitor, expires, origin or limits. Message is for users and does not
// repeat the value.
type FieldError struct{ Field, Message string }

// Error implements error.
func (e *FieldError) Error() string { return e.Message }

// Validate returns a *FieldError unless a token can be signed.
func (r *Request) Validate() error {
	switch {
	case !IsValidVisitor(r.Visitor):
		return &FieldError{"visitor", fmt.Sprintf("a visitor must have 1 to %d letters, digits or characters of ._-:@|+=/", MaxVisitorLength)}
	case r.Lifetime < time.Second || r.Lifetime > MaxLifetime:
		return &FieldError{"expires", "a token must expire after at least a second and at most 24 hours"}
	case r.Origin != nil && !isOneOrigin(*r.Origin):
		return &FieldError{"origin", "the origin of a token must be one origin, such as https://docs.example.com"}
	}
	if err := checkLimits(&r.Limits); err != nil {
		return &FieldError{"limits", err.Error()}
	}
	return nil
}

// ErrNoSecret means that there is no secret to sign with, for example because the tokens are verified with public keys only.
var ErrNoSecret = errors.New("there is no secret to sign with")

// Sign signs a token of the current generation at a time, with the first secret that is not being replaced. Without one, the error is
// ErrNoSecret.
func (s *Settings) Sign(r Request, now time.Time) (string, error) {
	for _, secret := range s.Secrets {
		if secret.Until.IsZero() {
			r.Generation = s.Generation
			return Sign(r, now, secret)
		}
	}
	return "", ErrNoSecret
}

// Sign signs a token at a time with a secret or an ed25519.PrivateKey.
func Sign(r Request, now time.Time, key any) (string, error) {
	if err := r.Validate(); err != nil {
		return "", err
	}
	var method jwt.SigningMethod
	switch k := key.(type) {
	case Secret:
		if len(k.value) == 0 {
			return "", errors.New("the secret for signing is empty")
		}
		method, key = jwt.SigningMethodHS256, k.value
	case ed25519.PrivateKey:
		method = jwt.SigningMethodEdDSA
	default:
		return "", errors.New("a token is signed with a secret or an Ed25519 private key")
	}
	issued := now.Unix()
	payload := jwt.MapClaims{"sub": r.Visitor, "iat": issued, "exp": issued + int64(r.Lifetime/time.Second)}
	if r.Origin != nil {
		payload["origin"] = r.Origin.String()
	}
	if r.Limits != (policy.Limits{}) {
		payload["limits"] = r.Limits
	}
	if r.Generation != 0 {
		payload["generation"] = r.Generation
	}
	token := jwt.NewWithClaims(method, payload)
	token.Header["kid"] = r.KeyID
	signed, err := token.SignedString(key)
	if err == nil && len(signed) > MaxLength {
		err = errors.New("the token is too long")
	}
	return signed, err
}
