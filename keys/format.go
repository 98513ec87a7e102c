package keys

import (
	"crypto/rand"
	"hash/crc32"
	"strings"
)

// A token that the gate makes is "dgk_", 30 random characters (178 bits) and the CRC-32 of those as 6 more, all base62. The
// checksum lets scanners and the gate tell a real token from text that looks like one, without asking anybody.
const (
	TokenPrefix = "dgk_"

	randomLength   = 30
	checksumLength = 6
	tokenLength    = len(TokenPrefix) + randomLength + checksumLength

	base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// NewToken makes a token from the system's randomness. It can be shown once and is then to be forgotten; DigestOf is what
// a key keeps of it.
func NewToken() string {
	var token strings.Builder
	token.Grow(tokenLength)
	token.WriteString(TokenPrefix)
	var raw [64]byte
	for token.Len() < len(TokenPrefix)+randomLength {
		_, _ = rand.Read(raw[:]) // never fails: the process ends instead
		for _, b := range raw {
			// Beyond the last whole multiple of 62 the first characters would come more often.
			if int(b) < 256/len(base62)*len(base62) && token.Len() < len(TokenPrefix)+randomLength {
				token.WriteByte(base62[int(b)%len(base62)])
			}
		}
	}
	check := checksum(token.String()[len(TokenPrefix):])
	token.Write(check[:])
	return token.String()
}

// Issued reports whether the text has the form of the gate's own tokens and a checksum that fits. It says nothing about
// whether there is a key for it.
func Issued(token string) bool { return hasForm(token) && fits(token) }

// Mistyped reports whether the text has the form of the gate's own tokens, but a checksum that does not fit: no such
// token was ever made.
func Mistyped(token string) bool { return hasForm(token) && !fits(token) }

// Hint returns the last four characters of one of the gate's own tokens, by which people tell tokens apart; of any other
// text nothing. They belong to the checksum, so the random part stays unknown.
func Hint(token string) string {
	if !Issued(token) {
		return ""
	}
	return token[tokenLength-4:]
}

func hasForm(token string) bool {
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

func fits(token string) bool {
	check := checksum(token[len(TokenPrefix) : len(TokenPrefix)+randomLength])
	return token[len(TokenPrefix)+randomLength:] == string(check[:])
}

// checksum is the CRC-32 (IEEE) of a text in six base62 digits, the highest first.
func checksum(text string) (digits [checksumLength]byte) {
	sum := crc32.ChecksumIEEE([]byte(text))
	for i := range digits {
		digits[len(digits)-1-i] = base62[sum%uint32(len(base62))]
		sum /= uint32(len(base62))
	}
	return digits
}
