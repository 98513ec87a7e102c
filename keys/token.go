package keys

import (
	"crypto/rand"
	"hash/crc32"
	"strings"

	"github.com/docsgate/docsgate/policy"
)

// A token issued by the gate is a prefix, 30 random characters (178 bits) and their CRC-32 as 6 more characters, all base62. The
// checksum lets secret scanners and the gate tell a real token from text that looks like one, without a lookup.
const (
	prefixLength   = len("dgk_")
	randomLength   = 30
	checksumLength = 6
	tokenLength    = prefixLength + randomLength + checksumLength

	base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// TokenPrefix returns the prefix of new tokens for keys of a kind. It tells people and secret scanners whether a token may be in a
// page. It does not restrict the token: the policy of the key does, and the kind of a key can change while its token stays.
func TokenPrefix(kind policy.Kind) string {
	switch kind {
	case policy.Publishable:
		return "dgp_"
	case policy.Secret:
		return "dgs_"
	case policy.AnyKind:
	}
	return "dgk_"
}

// hasTokenPrefix reports whether a text begins with one of the prefixes.
func hasTokenPrefix(text string) bool {
	return strings.HasPrefix(text, "dgk_") || strings.HasPrefix(text, "dgp_") || strings.HasPrefix(text, "dgs_")
}

// NewToken generates a token for a key of a kind from the system's randomness. It is meant to be shown once and then discarded; a
// key stores only its DigestOf.
func NewToken(kind policy.Kind) string {
	var token strings.Builder
	token.Grow(tokenLength)
	token.WriteString(TokenPrefix(kind))
	var raw [64]byte
	for token.Len() < prefixLength+randomLength {
		_, _ = rand.Read(raw[:]) // never fails: the process crashes instead
		for _, b := range raw {
			// Without this limit, which is the largest multiple of 62, the first characters would be more frequent.
			if int(b) < 256/len(base62)*len(base62) && token.Len() < prefixLength+randomLength {
				token.WriteByte(base62[int(b)%len(base62)])
			}
		}
	}
	check := checksum(token.String()[prefixLength:])
	token.Write(check[:])
	return token.String()
}

// HasValidChecksum reports whether the text has the format of the gate's own tokens and a valid checksum. It does not say whether a key
// with this token exists.
func HasValidChecksum(token string) bool { return hasTokenFormat(token) && checksumMatches(token) }

// HasBadChecksum reports whether the text has the format of the gate's own tokens but an invalid checksum: such a token was never
// issued.
func HasBadChecksum(token string) bool { return hasTokenFormat(token) && !checksumMatches(token) }

// Hint returns the last four characters of one of the gate's own tokens, by which people tell tokens apart, or "" for any other
// text. They are part of the checksum, so the random part stays secret.
func Hint(token string) string {
	if !HasValidChecksum(token) {
		return ""
	}
	return token[tokenLength-4:]
}

func hasTokenFormat(token string) bool {
	if len(token) != tokenLength || !hasTokenPrefix(token) {
		return false
	}
	for _, c := range []byte(token[prefixLength:]) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

func checksumMatches(token string) bool {
	check := checksum(token[prefixLength : prefixLength+randomLength])
	return token[prefixLength+randomLength:] == string(check[:])
}

// checksum returns the CRC-32 (IEEE) of a text as six base62 digits, most significant first.
func checksum(text string) (digits [checksumLength]byte) {
	sum := crc32.ChecksumIEEE([]byte(text))
	for i := range digits {
		digits[len(digits)-1-i] = base62[sum%uint32(len(base62))]
		sum /= uint32(len(base62))
	}
	return digits
}
