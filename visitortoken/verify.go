package visitortoken

import (
	"encoding/base64"
	"errors"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"
)

// Algorithms.
const (
	algHMAC    = "HS256"
	algEd25519 = "EdDSA"
)

// Errors of Verify, besides those of CheckTime. They do not contain the token.
var (
	ErrInvalid    = errors.New("the token is not valid")
	ErrGeneration = errors.New("the token is of another generation: all tokens before were invalidated")
)

// HasTokenForm reports whether a text has the form of a signed token: a JSON object in base64url and two periods. It
// does not allocate.
func HasTokenForm(text string) bool {
	if len(text) > MaxLength || !strings.HasPrefix(text, "eyJ") { // eyJ is `{"`
		return false
	}
	periods := 0
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
		case c == '.':
			periods++
		default:
			return false
		}
	}
	return periods == 2
}

// header has the fields of a token's header.
type header struct {
	Alg string `json:"alg"`
	Typ string `json:"typ"`
	Kid string `json:"kid"`
}

// strict rejects unknown fields. Duplicate names, and names with other upper and lower case, are rejected by default.
var strict = json.RejectUnknownMembers(true)

// parseHeader decodes the header of a token.
func parseHeader(token string) (h header, ok bool) {
	encoded, _, _ := strings.Cut(token, ".")
	data, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || json.Unmarshal(data, &h, strict) != nil {
		return header{}, false
	}
	return h, h.Kid != "" && (h.Typ == "" || h.Typ == "JWT") && (h.Alg == algHMAC || h.Alg == algEd25519)
}

// KeyID returns the ID of the key that a text of the form of a token names. Nothing about the token is verified. ok is false if the
// text cannot be a valid token.
func KeyID(token string) (id string, ok bool) {
	if !HasTokenForm(token) {
		return "", false
	}
	h, ok := parseHeader(token)
	return h.Kid, ok
}

// Verify verifies a token of a key at a time. The error is ErrInvalid, ErrGeneration, ErrExpired or ErrNotYetValid; except for ErrInvalid
// the signature is valid, and the visitor is returned, too. It does not check the state of the key.
func (s *Settings) Verify(token, keyID string, now time.Time) (*Visitor, error) {
	if !HasTokenForm(token) {
		return nil, ErrInvalid
	}
	h, ok := parseHeader(token)
	if !ok || h.Kid != keyID {
		return nil, ErrInvalid
	}
	var c claims
	var err error
	var until time.Time
	switch h.Alg {
	case algHMAC:
		until, err = s.verifyHMAC(token, &c, now)
	case algEd25519:
		err = s.verifyEd25519(token, &c)
	}
	if err != nil {
		return nil, ErrInvalid
	}
	v, err := c.visitor()
	if err != nil {
		return nil, ErrInvalid
	}
	v.secretUntil = until
	if c.Generation != s.Generation {
		return v, ErrGeneration
	}
	return v, v.CheckTime(now)
}

// verifyHMAC verifies a token with the secrets that are valid, and returns the end of the one that has signed it.
func (s *Settings) verifyHMAC(token string, c *claims, now time.Time) (until time.Time, err error) {
	err = ErrInvalid
	for _, secret := range s.Secrets {
		if !secret.Until.IsZero() && !now.Before(secret.Until) {
			continue
		}
		if err = parse(token, c, algHMAC, secret.value); err == nil {
			return secret.Until, nil
		}
	}
	return until, err
}

func (s *Settings) verifyEd25519(token string, c *claims) error {
	err := ErrInvalid
	for _, key := range s.PublicKeys {
		if err = parse(token, c, algEd25519, key); err == nil {
			return nil
		}
	}
	return err
}

// parse verifies the signature of a token and decodes its claims. Only one algorithm is valid with a key, so that a public key cannot be
// used as a secret. Times are checked by Visitor.CheckTime, since a verified token is cached.
func parse(token string, c *claims, algorithm string, key any) error {
	*c = claims{}
	parser := parsers[algorithm]
	_, err := parser.ParseWithClaims(token, c, func(*jwt.Token) (any, error) { return key, nil })
	return err
}

var parsers = map[string]*jwt.Parser{algHMAC: newParser(algHMAC), algEd25519: newParser(algEd25519)}

func newParser(algorithm string) *jwt.Parser {
	return jwt.NewParser(jwt.WithValidMethods([]string{algorithm}), jwt.WithStrictDecoding(), jwt.WithoutClaimsValidation())
}
