package ui

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/docsgate/docsgate/console/internal/securityheader"
	"github.com/docsgate/docsgate/console/keyservice"
)

// pageError is an error that is shown as its own page.
type pageError struct {
	status int
	text   string // one or two sentences
}

func (e *pageError) Error() string { return e.text }

// pageErrorOf returns the page for an error. fault reports whether the error is a failure of the gate, which has to be logged.
func pageErrorOf(err error) (shown *pageError, fault bool) {
	if own := (*pageError)(nil); errors.As(err, &own) {
		return own, false
	}
	if wrong := fieldErrors(err); len(wrong) > 0 {
		texts := slices.Sorted(maps.Values(wrong))
		return &pageError{http.StatusUnprocessableEntity, strings.Join(texts, " ")}, false
	}
	response := keyservice.ResponseTo(err)
	if response.Status == http.StatusInternalServerError {
		// Errors of the store are written for operators, the only users of this page, and contain no secret.
		response.Text = "The request failed: " + err.Error() + "."
	}
	return &pageError{response.Status, response.Text}, response.Fault
}

// handler returns an http.HandlerFunc that shows the error of handle as a page.
func (p *Page) handler(handle func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		err := handle(w, r)
		if err == nil {
			return
		}
		shown, fault := pageErrorOf(err)
		if fault && p.OnError != nil {
			p.OnError(r, err)
		}
		if shown.status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", keyservice.RetryAfter)
		}
		deleted := ""
		if e := (*deletedKeyError)(nil); errors.As(err, &e) {
			deleted = e.id
		}
		p.refuse(w, r, shown.status, shown.text, deleted)
	}
}

// maxForm is the maximum size of a form in bytes. A name of 200 characters and a thousand source IDs fit.
const maxForm = 1 << 20

// Refuse responds with an error page. It also serves the handlers before the Page, such as the authenticator. The text is one
// or two sentences; if it is empty, the page has the default text of the status.
func (p *Page) Refuse(w http.ResponseWriter, r *http.Request, status int, text string) {
	if text == "" {
		text = defaultText(status)
	}
	p.refuse(w, r, status, text, "")
}

// refuse is Refuse with a text. deleted is the ID of the deleted key whose audit trail the page links to, or "".
func (p *Page) refuse(w http.ResponseWriter, r *http.Request, status int, text, deleted string) {
	securityheader.Set(w.Header(), securityheader.Page)
	p.render(w, r, status, "error", defaultTitle(status), struct {
		Status  int
		Text    string
		Deleted string
	}{status, text, deleted})
}

func defaultTitle(status int) string {
	switch status {
	case http.StatusNotFound:
		return "Not found"
	case http.StatusUnauthorized:
		return "Sign-in required"
	case http.StatusForbidden:
		return "Access denied"
	case http.StatusMethodNotAllowed:
		return "Method not allowed"
	case http.StatusConflict:
		return "Nothing was changed"
	case http.StatusTooManyRequests:
		return "Too many attempts"
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		return "Invalid request"
	default:
		return http.StatusText(status)
	}
}

func defaultText(status int) string {
	switch status {
	case http.StatusNotFound:
		return "There is nothing at this address."
	case http.StatusUnauthorized:
		return "Only key administrators can use this page."
	case http.StatusForbidden:
		return "The request came from another site, or from an address that may not use the console."
	case http.StatusTooManyRequests:
		return "There were too many failed attempts. Wait a minute and try again."
	default:
		return "The request failed. The log of the gate has the reason."
	}
}
