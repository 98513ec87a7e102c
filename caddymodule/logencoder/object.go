package logencoder

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap/zapcore"

	"github.com/docsgate/docsgate/internal/redact"
)

// scope is what an object of a log entry contains.
type scope uint8

const (
	scopeOther   scope = iota
	scopeRequest       // an HTTP request, as Caddy logs it
	scopeHeaders       // headers of a request or response
)

// object passes the fields of an object to another encoder, without tokens. It overrides the methods for all types that can
// contain text.
type object struct {
	zapcore.ObjectEncoder
	rules *rules
	scope scope
}

// minKey is the length below which the name of a field is not checked: it is one of code.
const minKey = 20

// redactKey returns the name of a field without tokens.
func redactKey(key string) string {
	if len(key) < minKey {
		return key
	}
	return redact.Text(key)
}

// AddString implements zapcore.ObjectEncoder.
func (o *object) AddString(key, value string) {
	switch {
	case o.scope == scopeHeaders:
		if o.rules.logsHeader(key) {
			o.ObjectEncoder.AddString(key, o.rules.header(key, value))
		}
	case o.scope == scopeRequest:
		o.ObjectEncoder.AddString(redactKey(key), o.rules.requestField(key, value))
	case key == "uri":
		o.ObjectEncoder.AddString(key, o.rules.uri(value))
	case (key == "user_id" || key == "key") && redact.IsKeyID(value):
		o.ObjectEncoder.AddString(key, value)
	case redact.IsCredentialName(key) && value != "":
		o.ObjectEncoder.AddString(redactKey(key), redact.Replacement)
	default:
		o.ObjectEncoder.AddString(redactKey(key), redact.Text(value))
	}
}

// AddByteString implements zapcore.ObjectEncoder.
func (o *object) AddByteString(key string, value []byte) { o.AddString(key, string(value)) }

// AddBinary implements zapcore.ObjectEncoder.
func (o *object) AddBinary(key string, value []byte) {
	if o.scope == scopeOther && !redact.IsCredentialName(key) {
		o.ObjectEncoder.AddBinary(redactKey(key), []byte(redact.Text(string(value))))
	}
}

// AddArray implements zapcore.ObjectEncoder.
func (o *object) AddArray(key string, m zapcore.ArrayMarshaler) error {
	a := array{rules: o.rules, scope: o.scope, left: -1}
	switch {
	case o.scope == scopeHeaders:
		if !o.rules.logsHeader(key) {
			return nil
		}
		a.header, a.left = key, maxHeaderValues
	case redact.IsCredentialName(key):
		o.ObjectEncoder.AddString(redactKey(key), redact.Replacement)
		return nil
	default:
		key = redactKey(key)
	}
	return o.ObjectEncoder.AddArray(key, zapcore.ArrayMarshalerFunc(func(inner zapcore.ArrayEncoder) error {
		a.ArrayEncoder = inner
		return m.MarshalLogArray(&a)
	}))
}

// AddObject implements zapcore.ObjectEncoder.
func (o *object) AddObject(key string, m zapcore.ObjectMarshaler) error {
	if p, ok := m.(*probe); ok {
		p.covered = true
		return nil
	}
	if o.scope == scopeHeaders {
		return nil
	}
	// Caddy's filter encoder adds the members of an object to the encoder that it wraps, which is o, instead of to the one
	// that it is called with. So both have the scope of the object.
	outer := o.scope
	o.scope = scopeOf(key, m)
	defer func() { o.scope = outer }()
	return o.ObjectEncoder.AddObject(redactKey(key), &marshaler{m, o.rules, o.scope})
}

// marshaler adds the fields of an object to an encoder, without tokens.
type marshaler struct {
	zapcore.ObjectMarshaler
	rules *rules
	scope scope
}

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (m *marshaler) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	return m.ObjectMarshaler.MarshalLogObject(&object{enc, m.rules, m.scope})
}

// scopeOf returns the scope of an object by its type, and by its name for objects that another encoder has wrapped.
func scopeOf(key string, m zapcore.ObjectMarshaler) scope {
	switch m.(type) {
	case caddyhttp.LoggableHTTPRequest, *caddyhttp.LoggableHTTPRequest:
		return scopeRequest
	case caddyhttp.LoggableHTTPHeader, *caddyhttp.LoggableHTTPHeader:
		return scopeHeaders
	}
	switch {
	case key == "request":
		return scopeRequest
	case key == "headers" || strings.HasSuffix(key, "_headers"):
		return scopeHeaders
	}
	return scopeOther
}

// AddReflected implements zapcore.ObjectEncoder. The value is encoded as JSON and decoded again to find its texts.
func (o *object) AddReflected(key string, value any) error {
	switch v := value.(type) {
	case *probe:
		v.covered = true
		return nil
	case http.Header:
		return o.AddObject(key, caddyhttp.LoggableHTTPHeader{Header: v})
	}
	if o.scope == scopeHeaders {
		return nil
	}
	if redact.IsCredentialName(key) {
		o.ObjectEncoder.AddString(redactKey(key), redact.Replacement)
		return nil
	}
	return o.ObjectEncoder.AddReflected(redactKey(key), redactValue(value))
}

// array passes the elements of an array to another encoder, without tokens.
type array struct {
	zapcore.ArrayEncoder
	rules  *rules
	scope  scope
	header string // the name of the header that has these values, in scopeHeaders
	left   int    // the number of values that are still logged; negative: all
}

// AppendString implements zapcore.PrimitiveArrayEncoder.
func (a *array) AppendString(value string) {
	if a.left == 0 {
		return
	}
	a.left--
	if a.scope == scopeHeaders {
		a.ArrayEncoder.AppendString(a.rules.header(a.header, value))
		return
	}
	a.ArrayEncoder.AppendString(redact.Text(value))
}

// AppendByteString implements zapcore.PrimitiveArrayEncoder.
func (a *array) AppendByteString(value []byte) { a.AppendString(string(value)) }

// AppendArray implements zapcore.ArrayEncoder.
func (a *array) AppendArray(m zapcore.ArrayMarshaler) error {
	return a.ArrayEncoder.AppendArray(zapcore.ArrayMarshalerFunc(func(inner zapcore.ArrayEncoder) error {
		return m.MarshalLogArray(&array{ArrayEncoder: inner, rules: a.rules, scope: a.scope, header: a.header, left: a.left})
	}))
}

// AppendObject implements zapcore.ArrayEncoder.
func (a *array) AppendObject(m zapcore.ObjectMarshaler) error {
	return a.ArrayEncoder.AppendObject(&marshaler{m, a.rules, scopeOf("", m)})
}

// AppendReflected implements zapcore.ArrayEncoder.
func (a *array) AppendReflected(value any) error {
	if header, ok := value.(http.Header); ok {
		return a.AppendObject(caddyhttp.LoggableHTTPHeader{Header: header})
	}
	return a.ArrayEncoder.AppendReflected(redactValue(value))
}

// redactValue returns a value for JSON without tokens, or a text if the value is too large or cannot be encoded.
func redactValue(value any) any {
	text, err := json.Marshal(value)
	if err != nil || len(text) > redact.MaxText {
		return redact.Replacement
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var decoded any
	if dec.Decode(&decoded) != nil {
		return redact.Replacement
	}
	return redactJSON(decoded)
}

func redactJSON(value any) any {
	switch v := value.(type) {
	case string:
		return redact.Text(v)
	case []any:
		for i := range v {
			v[i] = redactJSON(v[i])
		}
	case map[string]any:
		clean := make(map[string]any, len(v))
		for key, member := range v {
			if redact.IsCredentialName(key) && member != nil {
				member = redact.Replacement
			}
			clean[redact.Text(key)] = redactJSON(member)
		}
		return clean
	}
	return value
}
