package docsgpt

import "bytes"

// The spelling of a history that JSON.stringify gives, twice, and so does every client that does not escape more than it
// must: no blanks, the prompt before the response, nothing else in an entry.
var (
	entryStart    = []byte(`{\"prompt\":`)
	entryResponse = []byte(`,\"response\":`)
)

// keepCompact does what readHistory does, for a JSON string in that spelling, without unquoting it: entries stay where
// they are. It returns how long the value is that was written over raw. ok is false, and raw unchanged, for any other
// spelling, valid or not. The parser has found raw to be a valid JSON string before, in UTF-8 and without control characters.
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

// compactEntries appends the places of the pairs to starts, and returns where the last one ends. An entry without a
// response may only be the last: widgets put the question there that they ask.
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

// compactString returns what is behind the JSON string that begins at i inside of raw, or -1 unless it is one in its
// shortest spelling: there its quotes and backslashes have one backslash more, and no other escape stands in raw.
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
		switch raw[i] { // raw ends with a quote, which no backslash escapes
		case '"':
			return i + 1
		case '\\':
		default:
			return -1
		}
		i++ // behind a backslash of the inner string
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

// plainEscape tells whether s begins with four hexadecimal digits that are a character by themselves, not half of one.
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
