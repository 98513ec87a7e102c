package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/visitortoken"
)

// problem is an RFC 9457 problem document with a stable code and the errors per field.
type problem struct {
	Type   string       `json:"type"`
	Title  string       `json:"title"`
	Status int          `json:"status"`
	Detail string       `json:"detail"`
	Code   string       `json:"code"`
	Errors []fieldError `json:"errors,omitempty"`
	Key    string       `json:"key,omitempty"` // ID of the affected key, if the request does not contain it

	header http.Header // of the response
	cause  error       // is logged
}

// fieldError is an error about a field of the body, with its JSON pointer, or about a parameter or header.
type fieldError struct {
	Field   string `json:"field"`
	Pointer string `json:"pointer,omitempty"`
	Message string `json:"message"`
}

// Error implements error.
func (p *problem) Error() string { return p.Code + ": " + p.Detail }

// Unwrap returns the cause, for the log.
func (p *problem) Unwrap() error { return p.cause }

func newProblem(status int, code, detail string) *problem {
	return &problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

var errNoRoute = newProblem(http.StatusNotFound, "not_found", "There is no such endpoint. /openapi.json describes the API.")

// invalidParameter returns the problem of an invalid query parameter or header.
func invalidParameter(name, message string) *problem {
	p := newProblem(http.StatusBadRequest, "invalid_parameter", name+" "+message+".")
	p.Errors = []fieldError{{Field: name, Message: message}}
	return p
}

// invalid returns the problem of a JSON body with invalid fields.
func invalid(faults []fieldError) *problem {
	var detail strings.Builder
	for i, f := range faults {
		if i == 3 && len(faults) > 4 {
			fmt.Fprintf(&detail, "; and %d more", len(faults)-i)
			break
		}
		if i > 0 {
			detail.WriteString("; ")
		}
		detail.WriteString(f.Field + ": " + f.Message)
	}
	p := newProblem(http.StatusUnprocessableEntity, "invalid", detail.String())
	p.Errors = faults
	return p
}

// problemOf returns the problem for an error.
func problemOf(err error) *problem {
	if p := (*problem)(nil); errors.As(err, &p) {
		return p
	}
	var faults []fieldError
	collectFieldErrors(err, "", &faults)
	if len(faults) > 0 {
		p := invalid(faults)
		if errors.Is(err, keyservice.ErrAgentNotListed) {
			p.Code = "agent_not_listed"
		}
		return p
	}
	response := keyservice.ResponseTo(err)
	p := newProblem(response.Status, response.Code, response.Text)
	if response.Fault {
		p.cause = err
	}
	if p.Status == http.StatusServiceUnavailable {
		p.header = http.Header{"Retry-After": {keyservice.RetryAfter}}
	}
	return p
}

// collectFieldErrors appends the field errors in an error tree. pointer is the JSON pointer of the object with the fields.
func collectFieldErrors(err error, pointer jsontext.Pointer, faults *[]fieldError) {
	switch e := err.(type) { //nolint:errorlint // it walks the error tree
	case *registry.ImportError:
		pointer = pointer.AppendToken("keys").AppendToken(fmt.Sprint(e.Index))
		before := len(*faults)
		collectFieldErrors(e.Err, pointer, faults)
		if len(*faults) == before { // the error is about the item as a whole, such as its token
			*faults = append(*faults, fieldError{fieldOf(pointer), string(pointer), e.Err.Error()})
		}
	case *registry.FieldError:
		pointer = pointer.AppendToken(e.Field)
		*faults = append(*faults, fieldError{Field: fieldOf(pointer), Pointer: string(pointer), Message: e.Message})
	case *visitortoken.FieldError:
		pointer = pointer.AppendToken(e.Field)
		*faults = append(*faults, fieldError{Field: fieldOf(pointer), Pointer: string(pointer), Message: e.Message})
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			collectFieldErrors(inner, pointer, faults)
		}
	case interface{ Unwrap() error }:
		collectFieldErrors(e.Unwrap(), pointer, faults)
	}
}

// fieldOf formats a JSON pointer for users: keys[3].name.
func fieldOf(pointer jsontext.Pointer) string {
	var field strings.Builder
	for token := range pointer.Tokens() {
		switch {
		case token != "" && strings.Trim(token, "0123456789") == "":
			field.WriteString("[" + token + "]")
		case field.Len() > 0:
			field.WriteString("." + token)
		default:
			field.WriteString(token)
		}
	}
	if field.Len() == 0 {
		return "body"
	}
	return field.String()
}

func writeProblem(w http.ResponseWriter, p *problem) {
	writeAs(w, "application/problem+json", p.Status, p)
}

func writeJSON(w http.ResponseWriter, status int, v any) { writeAs(w, "application/json", status, v) }

// writeAs writes a response with a value as JSON. All values are types of this package, so encoding cannot fail.
func writeAs(w http.ResponseWriter, contentType string, status int, v any) {
	body := encode(v)
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}

// encode returns a value as JSON with a trailing newline. Invalid UTF-8, such as in the name of an old key, is replaced.
func encode(v any) []byte {
	body, err := json.Marshal(v, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		panic(fmt.Sprintf("encoding a response: %v", err)) // a bug in this package
	}
	return append(body, '\n')
}
