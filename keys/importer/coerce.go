package importer

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// text converts a string, a number, an ObjectId or a UUID to text. A missing value and null are the empty text.
func text(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "", true
	case string:
		return strings.TrimSpace(v), true
	case json.Number:
		return v.String(), true
	case map[string]any:
		// MongoDB Extended JSON, both versions.
		for _, name := range []string{"$oid", "$numberInt", "$numberLong", "$numberDouble", "$uuid"} {
			if inner, ok := v[name].(string); ok && len(v) == 1 {
				return inner, true
			}
		}
	}
	return "", false
}

var errNoSource = errors.New("a source is neither an id nor a reference (DBRef)")

// sourceOf returns the ID of a source: a text, or a reference to a document. It returns "" if there is no source.
func sourceOf(v any) (string, error) {
	if ref, ok := v.(map[string]any); ok {
		if id, exists := ref["$id"]; exists {
			v = id
			if id == nil {
				return "", errNoSource
			}
		}
	}
	id, ok := text(v)
	if !ok {
		return "", errNoSource
	}
	if id == "None" || id == "null" {
		id = ""
	}
	return id, nil
}

// list returns the items of a JSON list, or of an array in PostgreSQL's CSV format.
func list(v any) ([]any, bool) {
	switch v := v.(type) {
	case nil:
		return nil, true
	case []any:
		return v, true
	case string:
		inner, ok := strings.CutPrefix(strings.TrimSpace(v), "{")
		if !ok {
			return nil, strings.TrimSpace(v) == ""
		}
		if inner, ok = strings.CutSuffix(inner, "}"); !ok {
			return nil, false
		}
		var all []any
		for item := range strings.SplitSeq(inner, ",") {
			if item = strings.Trim(strings.TrimSpace(item), `"`); item != "" && item != "NULL" {
				all = append(all, item)
			}
		}
		return all, true
	default:
		return nil, false
	}
}

// parseBool reports whether a boolean setting is true, in any of its representations.
func parseBool(v any) bool {
	switch v := v.(type) {
	case bool:
		return v
	case string:
		return strings.EqualFold(v, "true") || v == "t" || v == "1"
	default:
		return false
	}
}

// timeLayouts are the time formats of the databases. Without a time zone they are UTC.
var timeLayouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07", "2006-01-02 15:04:05.999999999Z07:00",
	"2006-01-02 15:04:05.999999999",
}

// parseTime returns a time, or the zero time if it is missing or invalid, which is harmless.
func parseTime(v any) time.Time {
	if date, ok := v.(map[string]any); ok {
		v = date["$date"]
	}
	switch n := v.(type) {
	case json.Number: // milliseconds
		if ms, err := n.Int64(); err == nil {
			return validTime(time.UnixMilli(ms))
		}
	case map[string]any:
		s, _ := text(n)
		if ms, err := json.Number(s).Int64(); err == nil {
			return validTime(time.UnixMilli(ms))
		}
	case string:
		for _, layout := range timeLayouts {
			if t, err := time.Parse(layout, n); err == nil {
				return validTime(t)
			}
		}
	}
	return time.Time{}
}

// objectIDTime returns the creation time in an ObjectId.
func objectIDTime(id string) time.Time {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != 12 {
		return time.Time{}
	}
	return validTime(time.Unix(int64(raw[0])<<24|int64(raw[1])<<16|int64(raw[2])<<8|int64(raw[3]), 0))
}

func validTime(t time.Time) time.Time {
	if t.Unix() <= 0 || t.Year() > 9999 {
		return time.Time{}
	}
	return t.UTC()
}
