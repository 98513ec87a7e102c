package visitortoken

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Settings are what the tokens of one key are verified with. They are shared between goroutines and never change once stored. The zero
// value verifies no token.
type Settings struct {
	Secrets    []Secret            // of HS256
	PublicKeys []ed25519.PublicKey // of EdDSA
	Generation uint32              // tokens of another generation are rejected; a token without one has generation 0
}

// IsZero reports whether no token can be verified.
func (s *Settings) IsZero() bool { return len(s.Secrets) == 0 && len(s.PublicKeys) == 0 }

// Equal reports whether two settings are equal; nil equals only nil.
func (s *Settings) Equal(o *Settings) bool {
	if s == nil || o == nil {
		return s == o
	}
	return s.Generation == o.Generation &&
		slices.EqualFunc(s.Secrets, o.Secrets, func(a, b Secret) bool { return bytes.Equal(a.value, b.value) && a.Until.Equal(b.Until) }) &&
		slices.EqualFunc(s.PublicKeys, o.PublicKeys, func(a, b ed25519.PublicKey) bool { return bytes.Equal(a, b) })
}

// Secret is a secret of HS256. It prints as REDACTED. Create one with NewSecret.
type Secret struct {
	value []byte
	Until time.Time // exclusive: the end of the overlap of a replaced secret; zero: no end
}

// NewSecretText returns the text of a new secret: 32 random bytes in base64url.
func NewSecretText() string {
	var raw [MinSecretLength]byte
	_, _ = rand.Read(raw[:]) // never fails: the process crashes instead
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// NewSecret returns a secret without an end. The error does not contain the text.
func NewSecret(text string) (Secret, error) {
	switch {
	case len(text) < MinSecretLength:
		return Secret{}, fmt.Errorf("a secret for signing must have at least %d bytes, such as the output of \"openssl rand -hex 32\"",
			MinSecretLength)
	case strings.HasPrefix(text, "-----BEGIN"):
		return Secret{}, errors.New("a secret for signing must be random text, not a key in PEM format")
	}
	return Secret{value: []byte(text)}, nil
}

// Format prints "REDACTED" for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "REDACTED") }

// MarshalText returns "REDACTED".
func (Secret) MarshalText() ([]byte, error) { return []byte("REDACTED"), nil }

// FormatPublicKey is the inverse of ParsePublicKey: the base64 text in a PEM block.
func FormatPublicKey(key ed25519.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return base64.StdEncoding.EncodeToString(key) // never: each Ed25519 key can be encoded
	}
	return base64.StdEncoding.EncodeToString(der)
}

var errPublicKey = errors.New("must be an Ed25519 public key: a PEM block \"PUBLIC KEY\", or its base64 text")

// ParsePublicKey parses an Ed25519 public key: a PEM block "PUBLIC KEY", the base64 text in one, or the base64 text of the 32 bytes of
// the key. The error does not contain the text, which may be a private key.
func ParsePublicKey(text string) (ed25519.PublicKey, error) {
	var der []byte
	if block, rest := pem.Decode([]byte(text)); block != nil {
		if block.Type != "PUBLIC KEY" || len(bytes.TrimSpace(rest)) > 0 {
			return nil, errPublicKey
		}
		der = block.Bytes
	} else {
		var err error
		if der, err = base64.StdEncoding.DecodeString(text); err != nil {
			return nil, errPublicKey
		}
	}
	if len(der) == ed25519.PublicKeySize {
		return der, nil
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	if key, ok := parsed.(ed25519.PublicKey); ok && err == nil {
		return key, nil
	}
	return nil, errPublicKey
}
