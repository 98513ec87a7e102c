package docsgpt

import (
	"bytes"
	"unicode/utf8"
)

// The encoding of a history by two calls of JSON.stringify, and by every client that escapes no more than necessary: no
// white space, the prompt before the response, and no other field in an entry.
var (
	entryStart    = []byte(`{\"prompt\":`)
	entryResponse = []byte(`,\"response\":`)
	historyEnd    = []byte(`]"`)
)

// compactHistory reads a history in that encoding without unquoting it. It does the same as readHistory: kept are the
// pairs to forward, without brackets around them, and end is the offset after the JSON string that begins at i. ok is
// false for any other encoding, valid or not.
func (p *parser) compactHistory(b []byte, i int, l *Limits) (kept span, end int, ok bool) {
	p.starts = p.starts[:0]
	if !bytes.HasPrefix(b[i:], []byte(`"[`)) {
		return span{}, 0, false
	}
	i += len(`"[`)
	kept = span{i, i}
	if !bytes.HasPrefix(b[i:], historyEnd) {
		if i, kept.end = p.compactEntries(b, i); i < 0 {
			return span{}, 0, false
		}
		const rest = len(`"[]"`)
		if from := firstKept(p.starts, kept.end, l.HistoryEntries, l.HistorySize-rest); from < len(p.starts) {
			kept.start = p.starts[from]
		} else {
			kept.end = kept.start
		}
	}
	return kept, i + len(historyEnd), true
}

// keepPairs reduces a history in that encoding to the pairs that compactHistory has found. Nothing is moved.
func (b *Body) keepPairs(f *field, kept span) {
	f.span = span{kept.start - copy(b.buf[kept.start-len(`"[`):], `"[`), kept.end + copy(b.buf[kept.end:], historyEnd)}
}

// compactEntries reads entries up to the end of the list, whose offset it returns, and adds the offsets of the pairs to
// p.starts. end is the end of the last pair. Only the last entry may lack a response: there widgets put the question that
// they ask. i is -1 for any other encoding.
func (p *parser) compactEntries(b []byte, at int) (i, end int) {
	i, end = at, at
	for {
		start := i
		if !bytes.HasPrefix(b[i:], entryStart) {
			return -1, 0
		}
		if i = compactString(b, i+len(entryStart)); i < 0 {
			return -1, 0
		}
		pair := bytes.HasPrefix(b[i:], entryResponse)
		if pair {
			if i = compactString(b, i+len(entryResponse)); i < 0 {
				return -1, 0
			}
		}
		if len(b)-i < 2 || b[i] != '}' {
			return -1, 0
		}
		i++
		if pair {
			p.starts, end = append(p.starts, start), i
		}
		if bytes.HasPrefix(b[i:], historyEnd) {
			return i, end
		}
		if b[i] != ',' || !pair {
			return -1, 0
		}
		i++
	}
}

// compactString returns the offset after the JSON string that begins at i inside a JSON string, or -1 unless the string is
// valid and has its shortest encoding: its quotes and backslashes have one more backslash in b, which contains no other
// escape.
func compactString(b []byte, i int) int {
	if !bytes.HasPrefix(b[i:], []byte(`\"`)) {
		return -1
	}
	i += len(`\"`)
	for {
		i = skipPlain(b, i)
		if len(b)-i < len(`\"`) {
			return -1
		}
		if b[i] >= utf8.RuneSelf {
			if i = scanCharacters(b, i); i < 0 {
				return -1
			}
			continue
		}
		if b[i] != '\\' { // a control character, or the end of the outer string
			return -1
		}
		switch b[i+1] {
		case '"':
			return i + len(`\"`)
		case '\\':
			i += len(`\\`)
		default:
			return -1
		}
		if len(b)-i < 2 {
			return -1
		}
		switch b[i] { // after a backslash of the inner string
		case 'b', 'f', 'n', 'r', 't', '/':
			i++
		case '\\': // of an escaped quote or backslash
			if c := b[i+1]; c != '"' && c != '\\' {
				return -1
			}
			i += 2
		case 'u':
			i++
			if !isHex4(b[i:]) || isSurrogate(b[i:]) {
				return -1
			}
			i += 4
		default:
			return -1
		}
	}
}
