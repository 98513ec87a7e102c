package filefeed

import (
	"slices"
	"strings"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// fieldValues are the fields of a mapping. Their number is small, so a search is faster than a map.
type fieldValues []fieldValue

type fieldValue struct {
	name  string
	value *node
}

// get returns the value of a field, or nil.
func (v fieldValues) get(name string) *node {
	for i := range v {
		if v[i].name == name {
			return v[i].value
		}
	}
	return nil
}

// fields returns the fields of a mapping, each once. all lists the valid names, for the fault of an unrecognized field.
func (c *decoder) fields(n *node, known []string, all string) fieldValues {
	return c.appendFields(nil, n, known, all)
}

// appendFields is fields with the memory of another result.
func (c *decoder) appendFields(values fieldValues, n *node, known []string, all string) fieldValues {
	for _, m := range n.fields {
		switch {
		case m.key == aliasNode || m.key == scalarNode && m.name == "<<":
			c.errorf(m.position, noAlias)
		case m.key == tagNode:
			c.errorf(m.position, noTag)
		case m.key != textNode || !slices.Contains(known, m.name):
			// The fault contains the name only if it is similar to a valid one: it could be a pasted secret.
			if near := suggest(m.name, known); near != "" {
				c.errorf(m.position, "unrecognized field %q: did you mean %q?", m.name, near)
			} else {
				c.errorf(m.position, "unrecognized field: %s", all)
			}
		case values.get(m.name) != nil:
			c.errorf(m.position, "%s is already specified on line %d", m.name, values.get(m.name).line)
		default:
			values = append(values, fieldValue{m.name, m.value})
		}
	}
	return values
}

// suggest returns the known name that a misspelled name was most likely meant to be, or "".
func suggest(name string, known []string) string {
	if len(name) > 16 {
		return ""
	}
	name = strings.ToLower(strings.ReplaceAll(name, "-", "_"))
	best, bestDistance := "", 0
	for _, k := range known {
		if d := levenshtein(name, k); d <= max(1, len(k)/3) && (best == "" || d < bestDistance) {
			best, bestDistance = k, d
		}
	}
	return best
}

// levenshtein returns the Levenshtein distance of a and b.
func levenshtein(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// wrongKind reports a value of the wrong kind.
func (c *decoder) wrongKind(n *node, message string) {
	switch n.kind {
	case aliasNode:
		message = noAlias
	case tagNode:
		message = noTag
	default:
	}
	c.errorf(n.position, "%s", message)
}

// text decodes a value that must be text.
func (c *decoder) text(n *node, what string) (string, bool) {
	switch n.kind {
	case textNode:
		return n.text, true
	case nullNode:
		c.errorf(n.position, "%s has no value: specify one", what)
	case timeNode, scalarNode:
		c.errorf(n.position, "%s must be text: put it in quotes", what)
	default:
		c.wrongKind(n, what+" must be text")
	}
	return "", false
}

// placeholder decodes a value that must be a single placeholder. Any other value is considered the secret itself, so it is not
// part of the fault; inClear is the message.
func (c *decoder) placeholder(n *node, what, plaintextMessage string) (string, bool) {
	switch n.kind {
	case mapNode:
		// Without quotes YAML parses {env.X} as a mapping.
		if len(n.fields) == 1 && n.fields[0].value.kind == nullNode {
			if p := "{" + n.fields[0].name + "}"; placeholderPattern.MatchString(p) {
				c.errorf(n.position, `write it in quotes: "%s"`, p)
				return "", false
			}
		}
		c.errorf(n.position, "%s must be a placeholder in quotes, such as \"{env.NAME}\"", what)
		return "", false
	case timeNode, scalarNode:
		c.errorf(n.position, "%s", plaintextMessage)
		return "", false
	default: // c.text reports the fault
	}
	text, ok := c.text(n, what)
	switch {
	case !ok:
		return "", false
	case text == "":
		c.errorf(n.position, "%s has no value: specify one", what)
		return "", false
	case !placeholderPattern.MatchString(text):
		c.errorf(n.position, "%s", plaintextMessage)
		return "", false
	}
	return text, true
}

// secret decodes a placeholder and resolves it.
func (c *decoder) secret(n *node, what, plaintextMessage string) (string, bool) {
	text, ok := c.placeholder(n, what, plaintextMessage)
	if !ok {
		return "", false
	}
	value, err := c.options.Resolve(text)
	value = strings.TrimRight(value, "\r\n") // files usually end with a newline
	switch {
	case err != nil || value == "":
		if strings.HasPrefix(text, "{env.") {
			c.errorf(n.position, "%s has no value: set the variable where the gate is started", text)
		} else {
			c.errorf(n.position, "%s has no value: the file must exist, be readable and not be empty", text)
		}
	case !keys.IsValidToken(value):
		c.errorf(n.position, "the value of %s is not a valid token: a token has 1 to 512 printable ASCII characters and no spaces", text)
	default:
		return value, true
	}
	return "", false
}

// timeLayouts are RFC 3339 and the other formats that YAML supports. Without a time zone they are UTC.
var timeLayouts = []string{
	time.RFC3339,
	"2006-1-2T15:4:5Z07:00",
	"2006-1-2t15:4:5Z07:00",
	"2006-1-2 15:4:5Z07:00",
	"2006-1-2 15:4:5 Z07:00",
	"2006-1-2 15:4:5",
	time.DateOnly,
	"2006-1-2",
}

// time decodes a time bound. The zero time means no bound, so times before 1970 are rejected.
func (c *decoder) time(n *node, what string) time.Time {
	if n == nil {
		return time.Time{}
	}
	switch n.kind {
	case textNode, timeNode:
		for _, layout := range timeLayouts {
			if t, err := time.Parse(layout, n.text); err == nil && t.Unix() > 0 {
				return t.UTC()
			}
		}
		c.errorf(n.position, "%s must be a time such as 2026-01-01T00:00:00Z, or a date", what)
	case nullNode:
		c.errorf(n.position, "%s has no value: specify one", what)
	default:
		c.wrongKind(n, what+" must be a time such as 2026-01-01T00:00:00Z, or a date")
	}
	return time.Time{}
}
