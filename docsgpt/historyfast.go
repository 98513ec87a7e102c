package docsgpt

import "bytes"

// The encoding of a history by two calls of JSON.stringify, and by every client that escapes no more than necessary: no
// white space, the prompt before the response, and no other field in an entry.
var (
	entryStart    = []byte(`{\"prompt\":`)
	entryResponse = []byte(`,\"response\":`)
)

// keepCompact does the same as readHistory, for a JSON string in that encoding, without unquoting it: the entries are
// moved, not rewritten. It returns the length of the value that was written over raw. ok is false, and raw unchanged,
// for any other encoding, valid or not. The parser has already checked that raw is a valid JSON string in UTF-8 without
// control characters.
func (p *parser) keepCompact(raw []byte, l *Limits) (n int, ok bool) {
	starts, end, ok := compactEntries(raw, p.starts[:0])
	p.starts = starts
	if !ok {
		return 0, false
	}
	const begin, rest = len(`"[`), len(`"[]"`)
	from := firstKept(starts, end, l.HistoryEntries, l.HistorySize-rest)
	out := raw[:begin]
	if from < len(starts) {
		out = append(out, raw[starts[from]:end]...)
	}
	return len(append(out, ']', '"')), true
}

// compactEntries appends the offsets of the pairs to starts, and returns the end of the last one. Only the last entry
// may lack a response: there widgets put the question that they ask.
func compactEntries(raw []byte, starts []int) (found []int, end int, ok bool) {
	i := len(`"[`)
	end = i
	if !bytes.HasPrefix(raw, []byte(`"[`)) {
		return starts, 0, false
	}
	if bytes.Equal(raw[i:], []byte(`]"`)) {
		return starts, end, true
	}
	for {
		start := i
		if !bytes.HasPrefix(raw[i:], entryStart) {
			return starts, 0, false
		}
		if i = compactString(raw, i+len(entryStart)); i < 0 {
			return starts, 0, false
		}
		pair := bytes.HasPrefix(raw[i:], entryResponse)
		if pair {
			if i = compactString(raw, i+len(entryResponse)); i < 0 {
				return starts, 0, false
			}
		}
		if raw[i] != '}' {
			return starts, 0, false
		}
		i++
		if pair {
			starts, end = append(starts, start), i
		}
		if bytes.Equal(raw[i:], []byte(`]"`)) {
			return starts, end, true
		}
		if raw[i] != ',' || !pair {
			return starts, 0, false
		}
		i++
	}
}

// compactString returns the offset after the JSON string that begins at i inside raw, or -1 unless the string has its
// shortest encoding: its quotes and backslashes have one more backslash in raw, which contains no other escape.
func compactString(raw []byte, i int) int {
	if !bytes.HasPrefix(raw[i:], []byte(`\"`)) {
		return -1
	}
	i += len(`\"`)
	for {
		next := bytes.IndexByte(raw[i:], '\\')
		if next < 0 {
			return -1
		}
		i += next + 1
		switch raw[i] { // in range: raw ends with an unescaped quote
		case '"':
			return i + 1
		case '\\':
		default:
			return -1
		}
		i++ // after a backslash of the inner string
		switch raw[i] {
		case 'b', 'f', 'n', 'r', 't', '/':
			i++
		case '\\': // of an escaped quote or backslash
			if c := raw[i+1]; c != '"' && c != '\\' {
				return -1
			}
			i += 2
		case 'u':
			if !plainEscape(raw[i+1:]) {
				return -1
			}
			i += len(`uXXXX`)
		default:
			return -1
		}
	}
}

// plainEscape reports whether s begins with four hexadecimal digits that are a character, not half of a surrogate pair.
func plainEscape(s []byte) bool {
	if len(s) < 4 {
		return false
	}
	for _, c := range s[:4] {
		if !('0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F') {
			return false
		}
	}
	return s[0] != 'd' && s[0] != 'D' || s[1] < '8'
}
