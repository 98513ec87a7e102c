package ui

import (
	"errors"
	"net/http"

	"github.com/docsgate/docsgate/keys/registry"
)

// refusal is an error that is shown as a page of its own.
type refusal struct {
	status int
	text   string // a sentence or two for people
}

func (e *refusal) Error() string { return e.text }

// refused makes the errors of the layers below into what is shown.
func refused(err error) (shown *refusal, fault bool) {
	var own *refusal
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &own):
		return own, false
	case errors.Is(err, registry.ErrNotFound):
		return &refusal{http.StatusNotFound, "There is no key with this ID. It may be a key of a file that has been taken out."}, false
	case errors.Is(err, registry.ErrConflict):
		return &refusal{http.StatusConflict, "Somebody else has changed this key in the meantime. Nothing was stored: look " +
			"at the key again, and repeat the change if it is still wanted."}, false
	case errors.Is(err, registry.ErrRevoked):
		return &refusal{http.StatusConflict, "This key is revoked, so nothing of it can be changed any more."}, false
	case errors.Is(err, registry.ErrNotApplied):
		return &refusal{http.StatusServiceUnavailable, "The change is stored, but could not be brought into force yet. It will be, " +
			"as soon as that works again; the log of the gate says what is wrong."}, true
	case errors.As(err, &tooLarge):
		return &refusal{http.StatusRequestEntityTooLarge, "What was sent is too long."}, false
	}
	if wrong := fieldErrors(err); len(wrong) > 0 {
		text := ""
		for _, message := range wrong {
			text += message + " "
		}
		return &refusal{http.StatusUnprocessableEntity, text}, false
	}
	// Errors of the store are written for operators, who are the only ones to see this page, and hold no secret.
	return &refusal{http.StatusInternalServerError, "It did not work: " + err.Error() + "."}, true
}

// answer makes a handler of one that can fail.
func (p *Page) answer(handle func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		err := handle(w, r)
		if err == nil {
			return
		}
		shown, fault := refused(err)
		if fault && p.Fault != nil {
			p.Fault(r, err)
		}
		p.Refuse(w, r, shown.status, shown.text)
	}
}

// maxForm is the most bytes that a form may have; a name of 200 characters and a thousand sources fit.
const maxForm = 1 << 20

// Refuse answers with a page that says why there is nothing else. It is also for whoever stands before the page. The text
// is one or two sentences; if it is empty, there is one for each status that a console answers with.
func (p *Page) Refuse(w http.ResponseWriter, r *http.Request, status int, text string) {
	setSecurityHeaders(w.Header())
	if text == "" {
		text = usualText(status)
	}
	p.render(w, r, status, "error", usualTitle(status), struct {
		Status int
		Text   string
	}{status, text})
}

func usualTitle(status int) string {
	switch status {
	case http.StatusNotFound:
		return "Not found"
	case http.StatusUnauthorized:
		return "Please sign in"
	case http.StatusForbidden:
		return "Not allowed"
	case http.StatusMethodNotAllowed:
		return "Not possible here"
	case http.StatusConflict:
		return "Nothing was changed"
	case http.StatusTooManyRequests:
		return "Too many attempts"
	case http.StatusUnprocessableEntity, http.StatusBadRequest:
		return "That cannot be right"
	default:
		return http.StatusText(status)
	}
}

func usualText(status int) string {
	switch status {
	case http.StatusNotFound:
		return "There is nothing at this address."
	case http.StatusUnauthorized:
		return "This page is for those who may manage keys."
	case http.StatusForbidden:
		return "The request did not come from this page itself, or from an address that may use it."
	case http.StatusTooManyRequests:
		return "There were too many attempts that failed. Please wait a minute and try again."
	default:
		return "It did not work. The log of the gate says more."
	}
}
