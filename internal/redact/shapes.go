package redact

import "strings"

// isTokenByte reports whether a byte is in the alphabet of tokens.
func isTokenByte(c byte) bool { return isAlphanumeric(c) || c == '-' || c == '_' }

func isAlphanumeric(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'z' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// Lengths of random words.
const (
	minRandom      = 20 // with letters and digits that alternate
	minRandomRun   = 40 // of one run of letters and digits, whatever they are
	minAlternation = 3  // changes from a letter to a digit, or back
)

// looksLikeToken reports whether a word of token bytes is a token, by its prefix, or because it is a UUID or random. IDs of
// keys are not tokens.
func looksLikeToken(word string) bool {
	if len(word) < minKnownToken {
		return false
	}
	if hasTokenPrefix(word) {
		return true
	}
	if rest, ok := strings.CutPrefix(word, "agent_"); ok && (isUUID(rest) || isObjectID(rest)) {
		return isKnownToken(rest)
	}
	for i := 0; i+uuidLength <= len(word); i++ {
		if isUUID(word[i : i+uuidLength]) {
			return true
		}
	}
	return isRandom(word) && !isIssuedID(word)
}

// tokenPrefixes are those of the gate, of DocsGPT, and of common services.
var tokenPrefixes = []string{"dgk_", "dgp_", "dgs_", "dgpt_", "ghp_", "gho_", "ghs_", "sk-", "pk-", "xoxb-", "xoxp-", "glpat-"}

// hasTokenPrefix reports whether a word, or what follows a hyphen or underscore in it, begins with a prefix of tokens, in upper
// or lower case. A header name that is made of a token is "X-Dgk_...".
func hasTokenPrefix(word string) bool {
	for i := 0; i < len(word); i++ {
		if i > 0 && isAlphanumeric(word[i-1]) {
			continue
		}
		for _, prefix := range tokenPrefixes {
			rest := len(word) - i - len(prefix)
			if rest >= 4 && strings.EqualFold(word[i:i+len(prefix)], prefix) && (prefix[len(prefix)-1] == '_' || rest >= minRandom) {
				return true
			}
		}
	}
	return false
}

const uuidLength = 36

func isUUID(s string) bool {
	if len(s) != uuidLength {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		default:
			if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
				return false
			}
		}
	}
	return true
}

// isObjectID reports whether a word has the form of an ID in MongoDB.
func isObjectID(s string) bool {
	return len(s) == 24 && strings.Trim(s, "0123456789abcdef") == ""
}

// isIssuedID reports whether a word has the form of the ID of a key that the gate issued.
func isIssuedID(word string) bool {
	rest, ok := strings.CutPrefix(word, "key_")
	return ok && len(rest) == 26 && strings.ToLower(rest) == rest && !strings.ContainsAny(rest, "-_")
}

// isRandom reports whether a word is too irregular for a name. Names of hosts and of Go functions are not, although they have
// letters and digits.
func isRandom(word string) bool {
	if len(word) < minRandom {
		return false
	}
	var digits, lower, upper, count, changes, allChanges, run int
	for i := range len(word) {
		c := word[i]
		if !isAlphanumeric(c) {
			run, changes = 0, 0
			continue
		}
		count++
		if run > 0 && isDigit(c) != isDigit(word[i-1]) {
			changes++
			allChanges++
		}
		run++
		switch {
		case isDigit(c):
			digits++
		case c >= 'a':
			lower++
		default:
			upper++
		}
		if run >= minRandomRun || run >= minRandom && changes >= minAlternation {
			return true
		}
	}
	return count >= minRandom && digits > 0 && lower > 0 && upper > 0 && allChanges >= minAlternation
}

// isJWT reports whether a part of a word is a JSON Web Token, or one that was cut off.
func isJWT(part string) bool {
	return len(part) >= minRandom && strings.HasPrefix(part, "eyJ") && strings.IndexByte(part, '.') > 0
}

// maxName is the length above which a word is not a name.
const maxName = 40

// normalize returns a name in lower case and without separators, in buf.
func normalize(buf *[maxName]byte, name string) []byte {
	if len(name) > maxName {
		return nil
	}
	out := buf[:0]
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'A' && c <= 'Z':
			out = append(out, c|0x20)
		case c != '-' && c != '_' && c != '.':
			out = append(out, c)
		}
	}
	return out
}

var credentialNames = []string{
	"apikey", "token", "secret", "passw", "authorization", "credential", "cookie", "bearer", "accesskey", "privatekey", "jwt",
}

// IsCredentialName reports whether the name of a field, header or parameter says that its value is a credential.
func IsCredentialName(name string) bool {
	var buf [maxName]byte
	normalized := string(normalize(&buf, name))
	for _, part := range credentialNames {
		if strings.Contains(normalized, part) {
			return true
		}
	}
	return false
}

// isQueryName is IsCredentialName for the parameters of a query, which have shorter names.
func isQueryName(name string) bool {
	switch strings.ToLower(name) {
	case "key", "auth", "sig", "signature", "pwd", "session", "code":
		return true
	}
	return IsCredentialName(name)
}

// isHeaderName reports whether a name is that of a header for credentials, whose value may have several words.
func isHeaderName(name string) bool {
	var buf [maxName]byte
	switch string(normalize(&buf, name)) {
	case "apikey", "authorization", "cookie", "proxyauthorization", "setcookie", "xapikey":
		return true
	}
	return false
}
