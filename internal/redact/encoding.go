package redact

import (
	"encoding/base64"
	"strings"
)

// isBasic reports whether a word is a user and password, encoded as for HTTP Basic authentication.
func isBasic(word string) bool {
	decoded, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(word, "="))
	return err == nil && strings.IndexByte(string(decoded), ':') >= 0
}

// maxDecodings is how often a word is decoded.
const maxDecodings = 3

// hidesToken reports whether a word with percent encoding contains a token after it is decoded, up to maxDecodings times.
func hidesToken(word string) bool {
	for range maxDecodings {
		decoded := unescape(word)
		if decoded == word {
			return false
		}
		if redact(decoded, false) != decoded {
			return true
		}
		word = decoded
	}
	return false
}

// unescape decodes percent encoding. Other than url.PathUnescape it keeps invalid sequences.
func unescape(s string) string {
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			high, low := hexValue(s[i+1]), hexValue(s[i+2])
			if high >= 0 && low >= 0 {
				out = append(out, byte(high<<4|low))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}

// hexValue returns the value of a hexadecimal digit, or -1.
func hexValue(c byte) int {
	switch {
	case isDigit(c):
		return int(c - '0')
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}
