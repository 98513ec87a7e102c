package docsgpt

import (
	"bytes"
	"net/http"

	"github.com/go-json-experiment/json/jsontext"
)

// CancelPath returns the path at which DocsGPT cancels the answer of a message, with POST and without a body. DocsGPT ends the
// model's stream within two seconds, at the next piece of text that the model sends.
func CancelPath(id MessageID) string { return "/api/messages/" + id.String() + "/cancel" }

// CancelOutcome is what DocsGPT's response to a cancellation means.
type CancelOutcome uint8

// The outcomes.
const (
	CancelFailed      CancelOutcome = iota // DocsGPT could not do it now, such as without Redis
	CancelAccepted                         // the answer will end
	CancelFinished                         // the answer had already ended
	CancelNotFound                         // the account of the credential has no such message
	CancelForbidden                        // the credential is not accepted here: none, an invalid one, or an access token
	CancelUnsupported                      // there is no such endpoint
)

// CancelOutcomeOf returns the outcome of a response to a cancellation.
func CancelOutcomeOf(status int, body []byte) CancelOutcome {
	success, known := successField(body)
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return CancelForbidden
	case status >= 200 && status <= 299 && success:
		return CancelAccepted
	case status == http.StatusConflict && known:
		return CancelFinished
	case status == http.StatusNotFound && known:
		return CancelNotFound
	case status < 500: // also the success of another server
		return CancelUnsupported
	default:
		return CancelFailed
	}
}

// successField returns the value of the field "success", which DocsGPT's own responses have. known is false without it.
func successField(body []byte) (success, known bool) {
	d := jsontext.NewDecoder(bytes.NewReader(body))
	err := forEachField(d, func(name string) error {
		value, err := d.ReadValue()
		if name == "success" {
			success, known = value.Kind() == 't', true
		}
		return err
	})
	return success && err == nil, known && err == nil
}
