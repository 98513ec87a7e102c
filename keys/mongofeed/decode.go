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

// fields are what is read of a record, besides its _id.
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

// DocsGPT's limits where one is switched on without a number.
const (
	defaultRequests = 500
	defaultTokens   = 50000
)

// legacyTrue is how DocsGPT writes that a limit holds, where it does not write a boolean.
const legacyTrue = "True"

// decoded is what a record says. An agent without a key is a draft.
type decoded struct {
	agent  docsgptkeys.Agent
	reason string // why it is none; then only its ID and Name count
}

// idOf appends to a buffer the name of a record: its collection, and type and bytes of its _id.
func idOf(buf []byte, collection string, raw bson.Raw) ([]byte, error) {
	if err := raw.Validate(); err != nil {
		return nil, errMalformed // the library's error may repeat values
	}
	id := raw.Lookup("_id")
	return append(append(buf, idPrefix(collection), byte(id.Type)), id.Value...), nil
}

// idPrefix tells the records of one collection from those of the other.
func idPrefix(collection string) byte {
	if collection == Agents {
		return 'a'
	}
	return 'k'
}

var errMalformed = errors.New("DocsGPT's database has sent a record that is damaged")

// decode reads a record that has been validated. What has another type than DocsGPT gives it counts as missing, except
// for the key.
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

// recordID is the id as people know it. One of a type that DocsGPT does not use, or that could be taken for another
// record's, becomes one that no key can have.
func recordID(id bson.RawValue) string {
	if oid, ok := id.ObjectIDOK(); ok {
		return oid.Hex()
	}
	if s := text(id); s != "" && len(s) != objectIDDigits {
		return s
	}
	return id.String()
}

// text is a value that is a string; empty: it is not.
func text(v bson.RawValue) string {
	s, _ := v.StringValueOK()
	return s
}

// sources are the ids, or the paths of 0.8 to 0.10, in the way DocsGPT joins its two fields: the list counts if it yields
// anything.
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

// source is a reference to a source, or what is in its place: a path, "default", an id.
func source(v bson.RawValue) string {
	if doc, ok := v.DocumentOK(); ok { // a DBRef
		v = doc.Lookup("$id")
	}
	if id, ok := v.ObjectIDOK(); ok {
		return id.Hex()
	}
	return text(v)
}

// limit is the number of a limit that is switched on; 0: none.
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

// integer reads a number in any of the ways in which it may be written.
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
