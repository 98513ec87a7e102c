package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys/registry"
)

// problem is an error as a client is told of it: RFC 9457, with a stable code, and what is wrong field by field.
type problem struct {
	Type   string       `json:"type"`
	Title  string       `json:"title"`
	Status int          `json:"status"`
	Detail string       `json:"detail"`
	Code   string       `json:"code"`
	Errors []fieldError `json:"errors,omitempty"`
	Key    string       `json:"key,omitempty"` // ID of the key that it is about, where the request does not name it

	header http.Header // for the answer
	cause  error       // for the log
}

// fieldError is what is wrong with one member of the body, named by its JSON pointer, too, or with a parameter or header.
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

var (
	errNoRoute = newProblem(http.StatusNotFound, "not_found", "There is no such endpoint. /openapi.json describes the API.")
	errNoKey   = newProblem(http.StatusNotFound, "key_not_found", "There is no such key.")
	errRevoked = newProblem(http.StatusConflict, "revoked",
		"The key is revoked permanently. Create a new key instead.")
)

const applyPending = "The change is stored, but the gate could not apply it yet. It retries automatically; its log has the reason."

// invalidParameter is the problem of a query parameter or header.
func invalidParameter(name, message string) *problem {
	p := newProblem(http.StatusBadRequest, "invalid_parameter", name+" "+message+".")
	p.Errors = []fieldError{{Field: name, Message: message}}
	return p
}

// invalid is the problem of a body that is JSON but does not say what it should.
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

// internal is a fault of the server.
func internal(cause error) *problem {
	p := newProblem(http.StatusInternalServerError, "internal", "An internal error occurred. The log of the gate has the reason.")
	p.cause = cause
	return p
}

// problemOf turns any error into what a client is told.
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
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return newProblem(http.StatusRequestEntityTooLarge, "too_large",
			fmt.Sprintf("The body is larger than %d bytes.", tooLarge.Limit))
	case errors.Is(err, registry.ErrNotFound):
		return errNoKey
	case errors.Is(err, registry.ErrRevoked):
		return errRevoked
	case errors.Is(err, registry.ErrNotApplied):
		p := newProblem(http.StatusServiceUnavailable, "apply_pending", applyPending)
		p.cause = err
		return p
	case errors.Is(err, registry.ErrConflict):
		return newProblem(http.StatusConflict, "conflict",
			"The key was changed concurrently. Check it and try again.")
	case errors.Is(err, registry.ErrExists):
		return newProblem(http.StatusConflict, "already_exists", "The id or the token belongs to another key.")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		p := newProblem(http.StatusServiceUnavailable, "deadline_exceeded", "The request was canceled, or timed out, before it was completed.")
		p.cause = err
		return p
	default:
		return internal(err)
	}
}

// collectFieldErrors gathers the faults in a tree of errors. pointer leads to the object whose fields they name.
func collectFieldErrors(err error, pointer jsontext.Pointer, faults *[]fieldError) {
	switch e := err.(type) { //nolint:errorlint // it walks through the whole tree itself
	case *registry.ImportError:
		pointer = pointer.AppendToken("keys").AppendToken(fmt.Sprint(e.Index))
		before := len(*faults)
		collectFieldErrors(e.Err, pointer, faults)
		if len(*faults) == before { // the item as a whole is at fault, say for its token
			*faults = append(*faults, fieldError{fieldOf(pointer), string(pointer), e.Err.Error()})
		}
	case *registry.FieldError:
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

// fieldOf writes a JSON pointer as people write it: keys[3].name.
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

// writeAs answers with a value as JSON. All values are the API's own, so that they can always be encoded.
func writeAs(w http.ResponseWriter, contentType string, status int, v any) {
	body := encode(v)
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that is gone has no use for it
}

// encode returns a value as JSON with an end of line. Text that is not UTF-8, such as the name of an old key, is mended.
func encode(v any) []byte {
	body, err := json.Marshal(v, jsontext.AllowInvalidUTF8(true))
	if err != nil {
		panic(fmt.Sprintf("writing an answer: %v", err)) // a fault of this package
	}
	return append(body, '\n')
}
