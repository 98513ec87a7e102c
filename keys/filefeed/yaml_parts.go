package filefeed

import (
	"bytes"

	"github.com/docsgate/docsgate/keys"
)

// partBytes is the minimum size of a part of a key file that is parsed on its own. The library takes about 15 times the size of its input.
const partBytes = 64 << 10

// yamlPart is a part of a key file: some keys of its list.
type yamlPart struct {
	data  []byte // whole lines; the first part begins with "keys:"
	lines int    // number of lines before it
	keys  int
}

// splitYAML splits a key file between keys into parts of at least minBytes, except for the last one. It splits only the usual form:
// a line "keys:", and then a list in which each key begins with "- " at the same indentation and has all further lines indented
// deeper. It returns nil for any other form, and for small files.
//
// The parser processes the file from beginning to end, so if it accepts a part as a complete document, then the line after the part
// begins the next key. In a quoted text, in brackets, or in any other construct that the cut has split, the part is
// invalid. A block scalar ends before a line of that indentation.
func splitYAML(data []byte, minBytes int) []yamlPart {
	if len(data) < 2*minBytes || hasUnusualLineBreak(data) {
		return nil
	}
	var (
		parts  []yamlPart
		part   yamlPart
		start  int // of the part
		header bool
		indent = -1 // of the list; -1: it has not begun
	)
	for offset, lines := 0, 0; offset < len(data); lines++ {
		line, _, _ := bytes.Cut(data[offset:], []byte("\n"))
		text := bytes.TrimLeft(line, " ")
		column := len(line) - len(text)
		text = bytes.TrimSuffix(text, []byte("\r"))
		item := bytes.HasPrefix(text, []byte("- "))
		switch {
		case len(text) == 0 || text[0] == '#':
		case !header:
			if header = column == 0 && string(text) == "keys:"; !header {
				return nil
			}
		case indent < 0 && !item, column < indent, column == indent && !item:
			return nil
		case indent < 0 || column == indent:
			indent = column
			if offset-start >= minBytes && part.keys > 0 {
				part.data = data[start:offset]
				parts, part, start = append(parts, part), yamlPart{lines: lines}, offset
			}
			part.keys++
		}
		offset = min(offset+len(line)+1, len(data))
	}
	if indent < 0 {
		return nil
	}
	part.data = data[start:]
	return append(parts, part)
}

// hasUnusualLineBreak reports whether the data has a line break of YAML other than "\n" and "\r\n". Lines would be counted incorrectly.
func hasUnusualLineBreak(data []byte) bool {
	for _, separator := range []string{"\u0085", "\u2028", "\u2029"} {
		if bytes.Contains(data, []byte(separator)) {
			return true
		}
	}
	return bytes.Count(data, []byte("\r")) != bytes.Count(data, []byte("\r\n"))
}

func (p *yamlPart) parse() (*node, *Error) {
	if p.lines == 0 {
		return parseYAML(p.data)
	}
	return parseYAMLAt(p.data, []byte("keys:\n"), p.lines-1)
}

// parts decodes a file part by part, so that the nodes of only one part are in memory. It reports whether all parts are valid YAML.
// Otherwise the file must be decoded as a whole, for the correct error, or because a key is in two parts.
func (c *decoder) parts(parts []yamlPart) bool {
	c.begin()
	size := 0
	for i := range parts {
		size += parts[i].keys
	}
	c.set = make([]keys.Key, 0, size)
	for i := range parts {
		part := &parts[i]
		root, fault := part.parse()
		if fault != nil || root.kind != mapNode || len(root.fields) != 1 || len(root.fields[0].value.items) != part.keys {
			return false
		}
		c.records(root.fields[0].value.items)
	}
	return true
}
