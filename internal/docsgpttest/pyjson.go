package docsgpttest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// member and object are a JSON object that keeps the order of its fields, as Python's dict does.
type (
	member struct {
		name  string
		value any
	}
	object []member
)

// fields is a JSON object with sorted fields, as written by Flask's jsonify.
type fields map[string]any

// dialect is a set of options of Python's json.dumps.
type dialect struct {
	comma, colon string
	sorted       bool // sort_keys=True
	raw          bool // ensure_ascii=False
}

var (
	spaced  = dialect{comma: ", ", colon: ": "}             // json.dumps(x): events, and errors of Flask-RESTX
	compact = dialect{comma: ",", colon: ":", sorted: true} // jsonify(x)
)

// dumps writes v as Python's json.dumps does: nil, bool, string, int, float64, json.Number, []any, object, fields.
func (d dialect) dumps(v any) []byte { return d.appendValue(nil, v) }

func (d dialect) appendValue(b []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, v)
	case int:
		return strconv.AppendInt(b, int64(v), 10)
	case int64:
		return strconv.AppendInt(b, v, 10)
	case float64:
		return strconv.AppendFloat(b, v, 'g', -1, 64)
	case json.Number:
		return append(b, v...)
	case string:
		return d.appendString(b, v)
	case []any:
		b = append(b, '[')
		for i, item := range v {
			if i > 0 {
				b = append(b, d.comma...)
			}
			b = d.appendValue(b, item)
		}
		return append(b, ']')
	case object:
		if d.sorted {
			v = slices.Clone(v)
			slices.SortFunc(v, func(x, y member) int { return strings.Compare(x.name, y.name) })
		}
		b = append(b, '{')
		for i, m := range v {
			if i > 0 {
				b = append(b, d.comma...)
			}
			b = append(d.appendString(b, m.name), d.colon...)
			b = d.appendValue(b, m.value)
		}
		return append(b, '}')
	case fields:
		return d.appendValue(b, v.ordered())
	case map[string]any:
		return d.appendValue(b, fields(v).ordered())
	default:
		panic(fmt.Sprintf("backend: cannot encode a %T as JSON", v))
	}
}

func (f fields) ordered() object {
	o := make(object, 0, len(f))
	for _, name := range slices.Sorted(maps.Keys(f)) {
		o = append(o, member{name, f[name]})
	}
	return o
}

func (d dialect) appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, `\n`...)
		case r == '\r':
			b = append(b, `\r`...)
		case r == '\t':
			b = append(b, `\t`...)
		case r == '\b':
			b = append(b, `\b`...)
		case r == '\f':
			b = append(b, `\f`...)
		case r < ' ', r > 0x7f && r < 0x10000 && !d.raw:
			b = fmt.Appendf(b, `\u%04x`, r)
		case r >= 0x10000 && !d.raw:
			r -= 0x10000
			b = fmt.Appendf(b, `\u%04x\u%04x`, 0xd800+(r>>10), 0xdc00+(r&0x3ff))
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}
