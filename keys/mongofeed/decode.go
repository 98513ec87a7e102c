package mongofeed

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

// fields are the fields that are read, besides _id.
var fields = []string{
	"key", "name", "user", "status", "source", "sources", "limited_request_mode", "request_limit", "limited_token_mode", "token_limit",
}

var projection = func() bson.D {
	p := bson.D{{Key: "_id", Value: 1}}
	for _, f := range fields {
		p = append(p, bson.E{Key: f, Value: 1})
	}
	return p
}()

// DocsGPT's defaults for a limit that is enabled without a number.
const (
	defaultRequests = 500
	defaultTokens   = 50000
)

// legacyTrue is the value of an enabled limit if DocsGPT does not write a boolean.
const legacyTrue = "True"

// decoded is a decoded record. An agent without a key is a draft.
type decoded struct {
	agent  docsgptkeys.Agent
	reason string // why it is malformed; then only its ID and Name are valid
}

// idOf appends the identifier of a record to a buffer: its collection, and the type and bytes of its _id.
func idOf(buf []byte, collection string, raw bson.Raw) ([]byte, error) {
	if err := raw.Validate(); err != nil {
		return nil, errMalformed // the driver's error may contain values
	}
	id := raw.Lookup("_id")
	return append(append(buf, idPrefix(collection), byte(id.Type)), id.Value...), nil
}

// idPrefix returns the prefix that distinguishes the records of the collections.
func idPrefix(collection string) byte {
	if collection == Agents {
		return 'a'
	}
	return 'k'
}

var errMalformed = errors.New("DocsGPT's database has sent a record that is damaged")

// decode decodes a validated record. Fields of unexpected types are treated as missing, except for the key.
func decode(raw bson.Raw) decoded {
	d := decoded{agent: docsgptkeys.Agent{ID: recordID(raw.Lookup("_id")), Name: text(raw.Lookup("name"))}}
	key := raw.Lookup("key")
	switch key.Type {
	case 0, bson.TypeNull, bson.TypeUndefined:
		return d
	case bson.TypeString:
		d.agent.Key = keys.NewSecret(text(key))
	default:
		d.reason = "its key is not a string but of type " + key.Type.String()
		return d
	}
	d.agent.AgentInfo = keys.AgentInfo{
		Owner: text(raw.Lookup("user")), Status: text(raw.Lookup("status")), Sources: sources(raw),
		RequestsPerDay: limit(raw.Lookup("limited_request_mode"), raw.Lookup("request_limit"), defaultRequests),
		TokensPerDay:   limit(raw.Lookup("limited_token_mode"), raw.Lookup("token_limit"), defaultTokens),
	}
	return d
}

// objectIDDigits is the length of an ObjectId in hex.
const objectIDDigits = 24

// recordID returns the id as DocsGPT displays it. An id of a type that DocsGPT does not use, or that may be confused with that of
// another record, becomes one that is not valid for a key.
func recordID(id bson.RawValue) string {
	if oid, ok := id.ObjectIDOK(); ok {
		return oid.Hex()
	}
	if s := text(id); s != "" && len(s) != objectIDDigits {
		return s
	}
	return id.String()
}

// text returns the value of a string, or "" for other types.
func text(v bson.RawValue) string {
	s, _ := v.StringValueOK()
	return s
}

// sources returns the ids (0.8 to 0.10: paths) of the sources. Like in DocsGPT, the field sources has precedence over source unless it
// is empty.
func sources(raw bson.Raw) []string {
	var list []string
	if array, ok := raw.Lookup("sources").ArrayOK(); ok {
		values, _ := array.Values()
		for _, v := range values {
			list = append(list, source(v))
		}
	}
	if list = docsgptkeys.Dedup(list); len(list) > 0 {
		return list
	}
	if s := source(raw.Lookup("source")); s != "" {
		return []string{s}
	}
	return nil
}

// source returns the id of a referenced source, or a path, or "default".
func source(v bson.RawValue) string {
	if doc, ok := v.DocumentOK(); ok { // a DBRef
		v = doc.Lookup("$id")
	}
	if id, ok := v.ObjectIDOK(); ok {
		return id.Hex()
	}
	return text(v)
}

// limit returns the number of a limit, or 0 if it is not enabled.
func limit(mode, number bson.RawValue, otherwise int) int {
	if on, ok := mode.BooleanOK(); ok && !on || !ok && text(mode) != legacyTrue {
		return 0
	}
	n, ok := integer(number)
	if !ok || n < 0 {
		return otherwise
	}
	return n
}

// integer returns the value of a number of any type.
func integer(v bson.RawValue) (int, bool) {
	switch v.Type {
	case bson.TypeInt32:
		return int(v.Int32()), true
	case bson.TypeInt64:
		return bounded(v.Int64())
	case bson.TypeDouble:
		f := v.Double()
		if math.IsNaN(f) || math.Abs(f) > math.MaxInt32 {
			return 0, false
		}
		return int(f), true
	case bson.TypeString:
		n, err := strconv.ParseInt(strings.TrimSpace(text(v)), 10, 32)
		return int(n), err == nil
	default:
		return 0, false
	}
}

func bounded(n int64) (int, bool) { return int(n), math.MinInt32 <= n && n <= math.MaxInt32 }
