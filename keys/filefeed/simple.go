package filefeed

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// parseSimpleKey parses the lines of a key that begins with "- " behind spaces, as "docsgate keys" and most people write them. A line is
// a known field and one of
//
//   - a plain scalar of letters, digits and a few other characters that have no meaning in it,
//   - a text in single or double quotes without escapes,
//   - a list of such texts in brackets, or of short plain scalars,
//   - nothing, if lines with "- " and one of the first two follow.
//
// For anything else it returns nil, and the library has to parse the key. A plain scalar is resolved by the library. Positions are those of
// the first line.
func parseSimpleKey(a *arena, lines string) *node {
	n := a.new(mapNode, position{1, 1})
	column := -1     // of the fields
	var list *node   // whose items may follow in the next lines
	listColumn := -1 // of its items
	for line := range strings.SplitSeq(lines, "\n") {
		text := strings.TrimLeft(line, " ")
		at := len(line) - len(text)
		if text == "" {
			continue
		}
		if text[0] == '#' {
			if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
				return nil // some characters are not allowed in comments, either
			}
			continue
		}
		text = strings.TrimRight(text, " ")
		if column < 0 { // "- id: x"
			rest := strings.TrimLeft(strings.TrimPrefix(text, "-"), " ")
			column = at + len(text) - len(rest)
			text, at = rest, column
		} else if item, ok := strings.CutPrefix(text, "- "); ok && list != nil && at >= column && (listColumn < 0 || at == listColumn) {
			listColumn = at
			value := simpleScalar(a, strings.TrimLeft(item, " "))
			if value == nil {
				return nil
			}
			list.items = append(list.items, value)
			continue
		}
		if at != column || list != nil && len(list.items) == 0 {
			return nil
		}
		list, listColumn = nil, -1
		name, rest, ok := strings.Cut(text, ":")
		i := slices.Index(recordFields, name)
		if !ok || i < 0 {
			return nil
		}
		var value *node
		switch rest = strings.TrimLeft(rest, " "); {
		case rest == "":
			value = a.new(listNode, position{1, 1})
			list = value
		case len(rest) == len(text)-len(name)-1: // no space after the colon
			return nil
		case rest[0] == '[':
			value = simpleList(a, rest)
		default:
			value = simpleScalar(a, rest)
		}
		if value == nil {
			return nil
		}
		n.fields = append(n.fields, field{position: position{1, 1}, name: recordFields[i], key: textNode, value: value})
	}
	if list != nil && len(list.items) == 0 {
		return nil
	}
	return n
}

// simpleScalar parses a scalar that ends with the text, or returns nil.
func simpleScalar(a *arena, text string) *node {
	if text == "" {
		return nil
	}
	if text[0] == '"' || text[0] == '\'' {
		value, rest, ok := quotedText(text)
		if !ok || rest != "" {
			return nil
		}
		return textOf(a, textNode, value)
	}
	if !isAlphanumeric(text[0]) {
		return nil
	}
	for i := range len(text) {
		switch b := text[i]; {
		case isAlphanumeric(b), b == ' ', b == '.', b == '_', b == '-', b == '/', b == '@', b == '+', b == '(', b == ')', b == '=':
		case b == ':' && i+1 < len(text) && isAlphanumeric(text[i+1]):
		default:
			return nil
		}
	}
	return textOf(a, plainKind(text), text)
}

// simpleList parses a list in brackets, or returns nil.
func simpleList(a *arena, text string) *node {
	n := a.new(listNode, position{1, 1})
	rest := strings.TrimLeft(text[1:], " ")
	for first := true; rest != "]"; first = false {
		if !first {
			if !strings.HasPrefix(rest, ",") {
				return nil
			}
			rest = strings.TrimLeft(rest[1:], " ")
		}
		if rest == "" {
			return nil
		}
		var item *node
		if rest[0] == '"' || rest[0] == '\'' {
			value, behind, ok := quotedText(rest)
			if !ok {
				return nil
			}
			item, rest = textOf(a, textNode, value), behind
		} else {
			end := 0
			for end < len(rest) && (isAlphanumeric(rest[end]) || end > 0 && (rest[end] == '-' || rest[end] == '_' || rest[end] == '.')) {
				end++
			}
			if end == 0 {
				return nil
			}
			item, rest = textOf(a, plainKind(rest[:end]), rest[:end]), rest[end:]
		}
		n.items = append(n.items, item)
		rest = strings.TrimLeft(rest, " ")
	}
	return n
}

// quotedText returns the text in quotes at the beginning, and the rest. ok is false if it is not simple.
func quotedText(text string) (value, rest string, ok bool) {
	end := strings.IndexByte(text[1:], text[0]) + 1
	if end == 0 {
		return "", "", false
	}
	value = text[1:end]
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' || value[i] == '\\' {
			return "", "", false
		}
	}
	rest = text[end+1:]
	return value, rest, rest == "" || rest[0] == ' ' || rest[0] == ',' || rest[0] == ']' // otherwise it may be an escaped quote
}

func textOf(a *arena, k kind, text string) *node {
	n := a.new(k, position{1, 1})
	n.text = text
	return n
}

// plainKind returns the kind of a plain scalar. A digest is usually a text, which a number or a time cannot be: for the library that takes a
// microsecond to find out.
func plainKind(text string) kind {
	if len(text) == 64 && strings.ContainsAny(text, "acdf") && !strings.ContainsFunc(text, func(r rune) bool { return !isHexDigit(r) }) {
		return textNode
	}
	return scalarKind(&yaml.Node{Kind: yaml.ScalarNode, Value: text})
}

func isHexDigit(r rune) bool { return '0' <= r && r <= '9' || 'a' <= r && r <= 'f' }

func isAlphanumeric(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9'
}
