package keys

import (
	"crypto/rand"
	"hash/crc32"
	"strings"
)

// A token issued by the gate is "dgk_", 30 random characters (178 bits) and their CRC-32 as 6 more characters, all base62. The
// checksum lets secret scanners and the gate tell a real token from text that looks like one, without a lookup.
const (
	TokenPrefix = "dgk_"

	randomLength   = 30
	checksumLength = 6
	tokenLength    = len(TokenPrefix) + randomLength + checksumLength

	base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// NewToken generates a token from the system's randomness. It is meant to be shown once and then discarded; a key stores only
// its DigestOf.
func NewToken() string {
	var token strings.Builder
	token.Grow(tokenLength)
	token.WriteString(TokenPrefix)
	var raw [64]byte
	for token.Len() < len(TokenPrefix)+randomLength {
		_, _ = rand.Read(raw[:]) // never fails: the process crashes instead
		for _, b := range raw {
			// Without this limit, which is the largest multiple of 62, the first characters would be more frequent.
			if int(b) < 256/len(base62)*len(base62) && token.Len() < len(TokenPrefix)+randomLength {
				token.WriteByte(base62[int(b)%len(base62)])
			}
		}
	}
	check := checksum(token.String()[len(TokenPrefix):])
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
	if len(token) != tokenLength || token[:len(TokenPrefix)] != TokenPrefix {
		return false
	}
	for _, c := range []byte(token[len(TokenPrefix):]) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

func checksumMatches(token string) bool {
	check := checksum(token[len(TokenPrefix) : len(TokenPrefix)+randomLength])
	return token[len(TokenPrefix)+randomLength:] == string(check[:])
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
