// Package redact removes tokens and other credentials from texts that are logged.
package redact

import (
	"strconv"
	"strings"
)

// Replacement replaces each credential.
const Replacement = "REDACTED"

// MaxText is the number of bytes of a text that are kept. The rest is cut off, so that the work for a text is bounded.
const MaxText = 64 << 10

// Text returns a text in which what looks like a credential, and what is a token of a registered key, is replaced by
// "REDACTED". These are replaced:
//
//   - tokens of the gate (dgk_..., dgp_..., dgs_...) and of DocsGPT (UUIDs, dgpt_pat_...), JSON Web Tokens, other long random words,
//   - the value after a name like api_key or Authorization, as in a URL, a header, JSON, or a value that Go has formatted,
//   - the query, fragment and user of a URL, and what follows "Bearer",
//   - all of these with percent encoding, also if it is applied repeatedly.
//
// The work is linear in the length of the text, of which at most 64 KiB are kept.
func Text(text string) string {
	cut := 0
	if len(text) > MaxText {
		// A token at the cut would lose its end, so the last word is omitted, too.
		end := strings.LastIndexAny(text[:MaxText], " \t\r\n")
		end = max(end, MaxText-maxKnownToken*4)
		text, cut = text[:end], len(text)-end
	}
	text = redact(text, true)
	if cut > 0 {
		text = Omit(text, cut)
	}
	return text
}

// Omit returns the beginning of a text with a note of how many bytes are omitted after it.
func Omit(beginning string, bytes int) string {
	return strings.ToValidUTF8(beginning, "") + "... (" + strconv.Itoa(bytes) + " bytes omitted)"
}

// redact is Text without the limit. decode says whether words are checked in decoded form, too.
func redact(text string, decode bool) string {
	if len(text) < minCredential {
		return text
	}
	r := redactor{text: text, decode: decode}
	for i := 0; i < len(text); {
		if !isWordByte(text[i]) {
			i += r.separator(i)
			continue
		}
		end := i + 1
		for end < len(text) && isWordByte(text[end]) {
			end++
		}
		r.word(i, end)
		i = end
	}
	return r.result()
}

// minCredential is the length of the shortest text with a credential, such as "key=x".
const minCredential = 5

// isWordByte reports whether a byte may be part of a word: white space, quotes, brackets, commas, backslashes, and bytes that
// are not printable ASCII are not.
func isWordByte(c byte) bool {
	switch c {
	case '"', '\'', '`', '<', '>', '(', ')', '[', ']', '{', '}', ',', '\\':
		return false
	}
	return c > ' ' && c < 0x7f
}

// expecting is what may follow, by what was read.
type expecting uint8

const (
	nothing    expecting = iota
	aColon               // after a credential name in quotes
	aValue               // the value of a credential name: a word, or what is in quotes or brackets
	aQuotation           // the same, but only in quotes or brackets: "token: it is missing" is a sentence
	aHeader              // the value of a header: the rest of the line
	theRest              // the rest of a value in quotes or brackets
	aBearer              // the token after "Bearer"
	aBasic               // the user and password after "Basic"
)

// redactor replaces words of a text.
type redactor struct {
	text   string
	decode bool
	out    []byte
	done   int // text[:done] is in out

	next   expecting
	end    byte // in theRest: the byte that ends the value
	before byte // the separator before the current word
}

// replace replaces text[i:j]. The ranges of all calls are in order and do not overlap.
func (r *redactor) replace(i, j int) {
	r.out = append(append(r.out, r.text[r.done:i]...), Replacement...)
	r.done = j
}

// replaceNext is replace for a word of a value with several: consecutive ones become one replacement. Otherwise a value of many short
// words would grow to several times its length.
func (r *redactor) replaceNext(i, j int) {
	if r.done > 0 && strings.IndexFunc(r.text[r.done:i], func(c rune) bool { return c < 0x7f && isWordByte(byte(c)) }) < 0 {
		r.done = j
		return
	}
	r.replace(i, j)
}

func (r *redactor) result() string {
	if r.done == 0 {
		return r.text
	}
	return string(append(r.out, r.text[r.done:]...))
}

// separator reads a separator at text[i] and returns its length. The escape sequences of line ends and tabs are separators.
func (r *redactor) separator(i int) int {
	c, n := r.text[i], 1
	if c == '\\' && i+1 < len(r.text) && strings.IndexByte("nrt", r.text[i+1]) >= 0 {
		c, n = '\n', 2
	}
	r.before = c
	switch r.next {
	case theRest:
		if c == r.end {
			r.next = nothing
		}
	case aValue, aQuotation, aHeader:
		switch c {
		case '"', '\'', '`':
			r.next, r.end = theRest, c
		case '[':
			r.next, r.end = theRest, ']'
		case '\n', '\r', ',':
			r.next = nothing
		}
	case aColon, aBearer, aBasic:
		if c == '\n' {
			r.next = nothing
		}
	case nothing:
	}
	return n
}

// word reads a word, which is text[i:j].
func (r *redactor) word(i, j int) {
	word, next := r.text[i:j], r.next
	switch next {
	case theRest, aHeader:
		r.replaceNext(i, j)
		return
	default:
		r.next = nothing
	}
	if next == aColon && (word[0] == ':' || word[0] == '=') {
		if len(word) > 1 {
			r.replace(i+1, j)
		} else {
			r.next = aValue
		}
		return
	}
	switch {
	case next == aValue,
		next == aBearer && len(word) >= minKnownToken,
		next == aBasic && isBasic(word),
		r.decode && strings.IndexByte(word, '%') >= 0 && hidesToken(word),
		isKnownToken(word),
		isKnownToken(strings.TrimRight(word, ".:;!?")):
		r.replace(i, j)
		return
	}
	if k := queryStart(word); k >= 0 {
		r.parts(i, i+k)
		r.replace(i+k, j)
		return
	}
	if r.parts(i, j) {
		return
	}
	r.next = r.after(word)
}

// after returns what may follow a word.
func (r *redactor) after(word string) expecting {
	quoted := r.before == '"' || r.before == '\'' || r.before == '`'
	if last := word[len(word)-1]; !quoted && strings.IndexByte(":=rRcC", last) < 0 { // of most words
		return nothing
	}
	name, hasColon := strings.CutSuffix(word, ":")
	if i := strings.LastIndexAny(name, "?&;:/|"); i >= 0 {
		name = name[i+1:]
	}
	switch {
	case strings.EqualFold(name, "bearer"):
		return aBearer
	case strings.EqualFold(name, "basic"):
		return aBasic
	case hasColon && isHeaderName(name):
		return aHeader
	case hasColon && IsCredentialName(name):
		return aQuotation
	case strings.HasSuffix(name, "=") && isQueryName(strings.TrimRight(name, "=")):
		return aValue
	case quoted && IsCredentialName(name):
		return aColon
	}
	return nothing
}

// parts replaces tokens in a word, which is text[i:j], and values after credential names. It reports whether the word ends
// with a replaced value.
func (r *redactor) parts(i, j int) bool {
	i = r.user(i, j)
	for start := i; start <= j; {
		end := start
		for end < j && !isPartEnd(r.text[end]) {
			end++
		}
		part := r.text[start:end]
		r.part(start, end)
		if end+1 < j && (r.text[end] == '=' && isQueryName(part) || r.text[end] == ':' && IsCredentialName(part)) {
			next := end + 1
			for next < j && r.text[next] != '&' && r.text[next] != ';' {
				next++
			}
			r.replace(end+1, next)
			if next == j {
				return true
			}
			end = next
		}
		start = end + 1
	}
	return false
}

// user replaces the user and password of a URL, which is text[i:j], and returns the position after them.
func (r *redactor) user(i, j int) int {
	scheme := strings.Index(r.text[i:j], "://")
	if scheme < 0 {
		return i
	}
	start := i + scheme + 3
	authority := r.text[start:j]
	if end := strings.IndexByte(authority, '/'); end >= 0 {
		authority = authority[:end]
	}
	at := strings.LastIndexByte(authority, '@')
	if at < 0 {
		return i
	}
	r.replace(start, start+at)
	return start + at
}

// isPartEnd reports whether a byte separates the parts of a word, such as the segments of a path.
func isPartEnd(c byte) bool {
	switch c {
	case '/', '?', '&', '=', ';', ':', '@', '|', '#':
		return true
	}
	return false
}

// part replaces a token, which is text[i:j] or in it.
func (r *redactor) part(i, j int) {
	part := r.text[i:j]
	if isKnownToken(part) || isJWT(part) {
		r.replace(i, j)
		return
	}
	for start := i; start < j; {
		end := start
		for end < j && isTokenByte(r.text[end]) {
			end++
		}
		if word := r.text[start:end]; looksLikeToken(word) || len(word) < len(part) && isKnownToken(word) {
			r.replace(start, end)
		} else if trimmed := strings.Trim(word, "-_"); len(trimmed) < len(word) && isKnownToken(trimmed) { // a boundary of a form
			r.replace(start, end)
		}
		start = end + 1
	}
}

// queryStart returns the position of the query or fragment of a URL, or a negative number.
func queryStart(word string) int {
	if k := strings.IndexByte(word, '?'); k >= 0 && k+1 < len(word) {
		return k + 1
	}
	if k := strings.IndexByte(word, '#'); k >= 0 && k+1 < len(word) && strings.Contains(word, "://") {
		return k + 1
	}
	return -1
}
