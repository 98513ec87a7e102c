// Package visitortoken signs and verifies the tokens of visitors: a page with a server of its own signs a short-lived token for its
// visitor, in place of publishing a key.
//
//   - [Settings] are the secrets and public keys of one key, with which its tokens are verified.
//   - [Visitor] is what a verified token says: who the visitor is, until when, and with which restrictions.
//   - [Sign] signs a token.
//
// A token is a JSON Web Token with the algorithm HS256 or EdDSA (Ed25519). The header field kid is the ID of the gate's key. The
// claims sub, iat and exp are required; nbf, origin, limits and generation are optional. All other header fields and claims are
// rejected, so that a misspelled restriction is an error, and so that no header field (crit, jku, jwk, x5c and others) can affect how
// the token is verified.
//
// The package knows neither HTTP nor the key store.
package visitortoken

import "time"

// Limits of tokens.
const (
	// MaxLength is the length of a token in bytes.
	MaxLength = 2048
	// MaxLifetime is the time from iat to exp.
	MaxLifetime = 24 * time.Hour
	// Leeway is how far the clock of the server that signs may differ from that of the gate.
	Leeway = time.Minute
	// MaxVisitorLength is the length of a visitor's ID in bytes.
	MaxVisitorLength = 128
	// MinSecretLength is the length of a secret in bytes: that of the HMAC, as RFC 7518 requires.
	MinSecretLength = 32
	// MaxGeneration is the highest generation. All JSON implementations read it exactly.
	MaxGeneration = 1<<31 - 1
)

// maxTime is the latest time in a claim, in seconds since 1970: year 9999.
const maxTime = 253402300799
