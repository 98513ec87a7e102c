package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Maximum sizes of bodies in bytes.
const (
	maxBody   = 1 << 20
	maxImport = 8 << 20
)

// readBody returns the body of a request, which must be sent as JSON in UTF-8. An optional body may be empty: nil.
func readBody(w http.ResponseWriter, r *http.Request, limit int64, optional bool) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return nil, err
	}
	if err != nil {
		return nil, newProblem(http.StatusBadRequest, "bad_request", "The request body is incomplete.")
	}
	if optional && len(body) == 0 {
		return nil, nil
	}
	if err := checkContentType(r.Header); err != nil {
		return nil, err
	}
	return body, nil
}

// checkContentType applies to all bodies. It is also part of the CSRF protection: a form of another site cannot send JSON.
func checkContentType(h http.Header) error {
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	json := kind == "application/json" || kind == "application/merge-patch+json"
	charset := params["charset"]
	switch {
	case err != nil || !json || len(h.Values("Content-Type")) != 1:
	case charset != "" && !strings.EqualFold(charset, "utf-8"):
	case h.Get("Content-Encoding") != "" && !strings.EqualFold(h.Get("Content-Encoding"), "identity"):
	default:
		return nil
	}
	p := newProblem(http.StatusUnsupportedMediaType, "not_json",
		"Send the body as JSON in UTF-8, with Content-Type: application/json and without Content-Encoding.")
	p.header = http.Header{"Accept": {"application/json"}}
	return p
}

// decode decodes a JSON object strictly: unknown and duplicate fields, values of other types, null where it has no meaning,
// invalid UTF-8 and trailing data are errors with a JSON pointer.
func decode(body []byte, into any, options ...json.Options) error {
	if !utf8.Valid(body) {
		return newProblem(http.StatusBadRequest, "invalid_json", "The body is not valid UTF-8.")
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return newProblem(http.StatusBadRequest, "invalid_json", "The body is empty: send a JSON object.")
	}
	options = append([]json.Options{json.RejectUnknownMembers(true), json.WithUnmarshalers(noNulls)}, options...)
	err := json.Unmarshal(body, into, options...)
	if err == nil {
		return nil
	}
	if syntax := (*jsontext.SyntacticError)(nil); errors.As(err, &syntax) {
		if errors.Is(syntax.Err, jsontext.ErrDuplicateName) {
			p := newProblem(http.StatusBadRequest, "invalid_json", fieldOf(syntax.JSONPointer)+" is specified more than once.")
			p.Errors = []fieldError{{fieldOf(syntax.JSONPointer), string(syntax.JSONPointer), "is specified more than once"}}
			return p
		}
		return newProblem(http.StatusBadRequest, "invalid_json",
			fmt.Sprintf("The body is not valid JSON: syntax error at byte %d.", syntax.ByteOffset))
	}
	if semantic := (*json.SemanticError)(nil); errors.As(err, &semantic) {
		return invalid([]fieldError{{fieldOf(semantic.JSONPointer), string(semantic.JSONPointer), describeError(semantic)}})
	}
	return fmt.Errorf("reading a body: %w", err)
}

// describeError describes an invalid value without repeating it, since it could be a secret in the wrong field.
func describeError(e *json.SemanticError) string {
	var own *valueError
	switch {
	case errors.Is(e.Err, json.ErrUnknownName):
		return "is not a known field"
	case errors.As(e.Err, &own):
		return own.message
	case e.GoType == nil:
		return "is invalid"
	}
	return expectedType(e.GoType)
}

func expectedType(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "must be text"
	case reflect.Bool:
		return "must be true or false"
	case reflect.Slice:
		return "must be a list"
	case reflect.Struct:
		return "must be an object"
	default:
		return "has the wrong type"
	}
}

// valueError is a human-readable error about a value.
type valueError struct{ message string }

// Error implements error.
func (e *valueError) Error() string { return e.message }

// nullable marks types for which null has a meaning.
type nullable interface{ nullable() }

// noNulls rejects null, which would otherwise be decoded as the zero value of any type.
var noNulls = json.UnmarshalFromFunc(func(dec *jsontext.Decoder, into any) error {
	if dec.PeekKind() == 'n' {
		if _, ok := into.(nullable); !ok {
			return &valueError{expectedType(reflect.TypeOf(into)) + ", not null"}
		}
	}
	return errors.ErrUnsupported
})

// moment is a time in RFC 3339 format.
type moment struct{ time.Time }

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (m *moment) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if token.Kind() == '"' && m.parse(token.String()) {
		return nil
	}
	return &valueError{"must be a time such as 2027-01-31T00:00:00Z, after 1970"}
}

// parse sets the time, and reports whether the text is valid.
func (m *moment) parse(text string) bool {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Unix() <= 0 || t.Year() > 9999 {
		return false
	}
	m.Time = t.UTC()
	return true
}

// oneOrMore is a string or a list of strings.
type oneOrMore []string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (o *oneOrMore) UnmarshalJSONFrom(dec *jsontext.Decoder) error {
	if dec.PeekKind() == '[' {
		return json.UnmarshalDecode(dec, (*[]string)(o))
	}
	token, err := dec.ReadToken()
	if err != nil {
		return err
	}
	if token.Kind() != '"' {
		return &valueError{"must be text or a list of texts"}
	}
	*o = oneOrMore{token.String()}
	return nil
}

// query returns the parameters of a request. Unknown and repeated parameters are errors, since a misspelled filter would list
// everything.
func query(r *http.Request, known ...string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, newProblem(http.StatusBadRequest, "invalid_parameter", "The query of the URL is malformed.")
	}
	for name, v := range values {
		switch {
		case len(known) == 0:
			return nil, invalidParameter(name, "is not a known parameter; this endpoint has none")
		case !slices.Contains(known, name):
			return nil, invalidParameter(name, "is not a known parameter; valid parameters are "+strings.Join(known, ", "))
		case len(v) > 1:
			return nil, invalidParameter(name, "is specified more than once")
		case !utf8.ValidString(v[0]):
			return nil, invalidParameter(name, "is not valid UTF-8")
		}
	}
	return values, nil
}

// number parses a parameter that is an integer from 1 to most. missing is its default.
func number(values url.Values, name string, missing, most uint64) (uint64, error) {
	if !values.Has(name) {
		return missing, nil
	}
	n, err := strconv.ParseUint(values.Get(name), 10, 64)
	if err != nil || n < 1 || n > most {
		return 0, invalidParameter(name, fmt.Sprintf("must be a number from 1 to %d", most))
	}
	return n, nil
}
