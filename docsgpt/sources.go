package docsgpt

import "bytes"

// sourceNames are the fields in which DocsGPT lists the sources of an answer: in events of a stream, and elsewhere.
var sourceNames = [...][]byte{[]byte(`"source"`), []byte(`"sources"`)}

// NamesSources reports whether the JSON of an answer, or of an event of one, names a source. It searches for a field with a list that is
// not empty, and does not parse: quotes in a JSON string are escaped, so a name and its colon cannot be part of a text.
func NamesSources(data []byte) bool {
	for _, name := range sourceNames {
		for rest := data; ; {
			at := bytes.Index(rest, name)
			if at < 0 {
				break
			}
			rest = rest[at+len(name):]
			if value := cutByte(rest, ':'); value != nil {
				if list := cutByte(value, '['); list != nil && cutByte(list, ']') == nil {
					return true
				}
			}
		}
	}
	return false
}

// cutByte returns what follows a character and the white space before it, or nil if something else is there.
func cutByte(s []byte, c byte) []byte {
	s = bytes.TrimLeft(s, " \t\r\n")
	if len(s) == 0 || s[0] != c {
		return nil
	}
	return s[1:]
}

// HasSources reports whether the stream has named a source so far, if DetectSources is set.
func (f *SSEFilter) HasSources() bool { return f.sources }

// noteSources detects sources in the data of an event.
func (f *SSEFilter) noteSources(data []byte) {
	if f.DetectSources && !f.sources {
		f.sources = NamesSources(data)
	}
}

// Dislikes reports whether a body is a negative rating of an answer. [Body.Check] must have been called.
func (b *Body) Dislikes() bool {
	for i := range b.fields {
		if f := &b.fields[i]; f.spec.Check == CheckRating {
			return string(b.buf[f.start:f.end]) == `"DISLIKE"`
		}
	}
	return false
}
