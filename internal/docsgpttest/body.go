package docsgpttest

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

var errNotJSON = errors.New("not one JSON document")

// isJSON is Werkzeug's is_json. Several headers are joined by commas, and the result is not a JSON type.
func isJSON(contentType []string) bool {
	mimetype, _, _ := strings.Cut(strings.Join(contentType, ","), ";")
	mimetype = strings.ToLower(strings.TrimSpace(mimetype))
	return mimetype == "application/json" ||
		strings.HasPrefix(mimetype, "application/") && strings.HasSuffix(mimetype, "+json") && !strings.Contains(mimetype, ",")
}

// decodeJSON is Python's json.loads for bytes: it detects the encoding, uses the last of several fields with the same name, and
// compares names exactly. Numbers are json.Number. Unlike Python it rejects NaN and Infinity.
func decodeJSON(data []byte) (any, error) {
	data, err := toUTF8(data)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return nil, errNotJSON
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errNotJSON
	}
	return value, nil
}

// toUTF8 is json.detect_encoding: it uses the byte order mark, else the positions of zero bytes.
func toUTF8(data []byte) ([]byte, error) {
	var zero [4]bool
	for i := range min(4, len(data)) {
		zero[i] = data[i] == 0
	}
	switch {
	case bytes.HasPrefix(data, []byte{0, 0, 0xfe, 0xff}):
		return fromUTF32(data[4:], binary.BigEndian)
	case bytes.HasPrefix(data, []byte{0xff, 0xfe, 0, 0}):
		return fromUTF32(data[4:], binary.LittleEndian)
	case bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		return fromUTF16(data[2:], binary.BigEndian)
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}):
		return fromUTF16(data[2:], binary.LittleEndian)
	case bytes.HasPrefix(data, []byte{0xef, 0xbb, 0xbf}):
		data = data[3:]
	case len(data) >= 4 && zero[0] && zero[1]:
		return fromUTF32(data, binary.BigEndian)
	case len(data) >= 2 && zero[0]:
		return fromUTF16(data, binary.BigEndian)
	case len(data) >= 4 && zero[1] && zero[2] && zero[3]:
		return fromUTF32(data, binary.LittleEndian)
	case len(data) >= 2 && zero[1]:
		return fromUTF16(data, binary.LittleEndian)
	}
	if !utf8.Valid(data) {
		return nil, errNotJSON
	}
	return data, nil
}

func fromUTF16(data []byte, order binary.ByteOrder) ([]byte, error) {
	if len(data)%2 != 0 {
		return nil, errNotJSON
	}
	units := make([]uint16, len(data)/2)
	for i := range units {
		units[i] = order.Uint16(data[2*i:])
	}
	return []byte(string(utf16.Decode(units))), nil
}

func fromUTF32(data []byte, order binary.ByteOrder) ([]byte, error) {
	if len(data)%4 != 0 {
		return nil, errNotJSON
	}
	var out []byte
	for i := 0; i < len(data); i += 4 {
		out = utf8.AppendRune(out, rune(order.Uint32(data[i:])))
	}
	return out, nil
}

// truthy is Python's bool() of a decoded value.
func truthy(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case string:
		return v != ""
	case json.Number:
		f, err := v.Float64()
		return err != nil || f != 0
	case []any:
		return len(v) > 0
	case map[string]any:
		return len(v) > 0
	default:
		return true
	}
}

// text is Python's str() of a decoded value.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case nil:
		return "None"
	default:
		return string(spaced.dumps(v))
	}
}
