package docsgpt

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// The functions of this file read valid JSON at the speed of memory, and report anything else only as not valid: the
// parser then reads it again with jsontext, which finds the error. Each returns the offset after what begins at i, or -1.
// A fuzz test compares them with jsontext.

// Each byte of a word is 1, or has only its highest bit set.
const (
	everyByte = 0x0101010101010101
	highBits  = 0x8080808080808080
)

// skipPlain returns the offset of the first byte from i on that is a quote, a backslash, a control character or not ASCII,
// or the length of b.
func skipPlain(b []byte, i int) int {
	for ; i <= len(b)-8; i += 8 {
		w := binary.LittleEndian.Uint64(b[i:])
		// Subtracting sets the highest bit of a byte that is less. A borrow reaches only the bytes after one that is found.
		found := w | (w - ' '*everyByte) | (w ^ '"'*everyByte - everyByte) | (w ^ '\\'*everyByte - everyByte)
		if found &= highBits; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for ; i < len(b); i++ {
		if c := b[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			return i
		}
	}
	return i
}

// scanString reads a string. i is the offset of its opening quote.
func scanString(b []byte, i int) int {
	i++
	for {
		i = skipPlain(b, i)
		if i == len(b) {
			return -1
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			i = scanEscape(b, i)
		case c >= utf8.RuneSelf:
			i = scanCharacters(b, i)
		default: // a control character
			return -1
		}
		if i < 0 {
			return -1
		}
	}
}

// scanCharacters reads characters that are not ASCII, at least one. Most have two or three bytes, for which utf8.DecodeRune
// takes four times as long.
func scanCharacters(b []byte, i int) int {
	for i < len(b) && b[i] >= utf8.RuneSelf {
		switch c := b[i]; {
		case c >= 0xc2 && c < 0xe0 && i+1 < len(b) && b[i+1]&0xc0 == 0x80:
			i += 2
		case c > 0xe0 && c < 0xed && i+2 < len(b) && b[i+1]&0xc0 == 0x80 && b[i+2]&0xc0 == 0x80:
			i += 3
		default:
			_, size := utf8.DecodeRune(b[i:])
			if size == 1 {
				return -1
			}
			i += size
		}
	}
	return i
}

// scanEscape reads an escape. Half of a surrogate pair is not valid.
func scanEscape(b []byte, i int) int {
	if i+1 >= len(b) {
		return -1
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
	default:
		return -1
	}
	i += len(`\u`)
	if isHex4(b[i:]) && !isSurrogate(b[i:]) {
		return i + 4
	}
	if len(b)-i >= len(`XXXX\uXXXX`) && isHex4(b[i:]) && isHigh(b[i:]) && string(b[i+4:i+6]) == `\u` &&
		isHex4(b[i+6:]) && isSurrogate(b[i+6:]) && !isHigh(b[i+6:]) {
		return i + 10
	}
	return -1
}

// isHex4 reports whether s begins with four hexadecimal digits.
func isHex4(s []byte) bool {
	if len(s) < 4 {
		return false
	}
	for _, c := range s[:4] {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
			return false
		}
	}
	return true
}

// isSurrogate reports whether four hexadecimal digits are half of a surrogate pair.
func isSurrogate(hex []byte) bool { return hex[0]|' ' == 'd' && hex[1] >= '8' }

// isHigh reports whether half of a surrogate pair is the first one.
func isHigh(hex []byte) bool {
	return hex[1] == '8' || hex[1] == '9' || hex[1]|' ' == 'a' || hex[1]|' ' == 'b'
}

// skipSpace returns the offset of the first byte from i on that is not white space, or the length of b.
func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// scanValue reads a value with at most depth levels of lists and objects, whose names may be duplicates, and numbers of at
// most maxDigits.
func scanValue(b []byte, i, depth int) int {
	if i == len(b) {
		return -1
	}
	switch c := b[i]; c {
	case '"':
		return scanString(b, i)
	case '{', '[':
		return scanNested(b, i, depth-1)
	case 'n':
		return scanLiteral(b, i, "null")
	case 't':
		return scanLiteral(b, i, "true")
	case 'f':
		return scanLiteral(b, i, "false")
	default:
		return scanNumber(b, i)
	}
}

func scanLiteral(b []byte, i int, text string) int {
	if end := i + len(text); end <= len(b) && string(b[i:end]) == text {
		return end
	}
	return -1
}

// scanNested reads an object or a list, which may contain depth levels of others.
func scanNested(b []byte, i, depth int) int {
	if depth < 0 {
		return -1
	}
	closing := b[i] + 2 // both in ASCII
	if i = skipSpace(b, i+1); i < len(b) && b[i] == closing {
		return i + 1
	}
	for {
		if closing == '}' {
			if i == len(b) || b[i] != '"' {
				return -1
			}
			if i = scanString(b, i); i < 0 {
				return -1
			}
			if i = skipSpace(b, i); i == len(b) || b[i] != ':' {
				return -1
			}
			i = skipSpace(b, i+1)
		}
		if i = scanValue(b, i, depth); i < 0 {
			return -1
		}
		if i = skipSpace(b, i); i == len(b) {
			return -1
		}
		if b[i] == closing {
			return i + 1
		}
		if b[i] != ',' {
			return -1
		}
		i = skipSpace(b, i+1)
	}
}

// scanNumber reads a number.
func scanNumber(b []byte, i int) int {
	start := i
	if i < len(b) && b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if i = scanDigits(b, i); i < 0 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		if i = scanDigits(b, i+1); i < 0 {
			return -1
		}
	}
	if i < len(b) && b[i]|' ' == 'e' {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		if i = scanDigits(b, i); i < 0 {
			return -1
		}
	}
	if i-start > maxDigits {
		return -1
	}
	return i
}

// scanDigits reads one digit or more.
func scanDigits(b []byte, i int) int {
	start := i
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	if i == start {
		return -1
	}
	return i
}
