package caddymodule

import (
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/forward"
	"github.com/docsgate/docsgate/policy/quota"
)

// DefaultMaxUpload is the largest form that is read by default, in bytes.
const DefaultMaxUpload = 100 << 20

// formMemory is what reading a form uses at most beside what its spool has in memory, in bytes.
const formMemory = 128 << 10

// upload is a form that was read.
type upload struct {
	form  *docsgpt.Form
	spool *forward.Spool // nil once it was handed over
}

var (
	notForm = refuseWith(http.StatusUnsupportedMediaType, "not_form",
		"Send the request as multipart/form-data with one boundary, and with no Content-Encoding.")
	notStored = refuseWith(http.StatusServiceUnavailable, "upload_failed",
		"The file cannot be taken now. Please try again later.")
)

// refusedToken is a token that is known to be bad before the form has been read.
type refusedToken struct{ refusal *refusal }

func (*refusedToken) Error() string { return "the token is refused" }

// readForm reads a form. Its length must be known before DocsGPT gets anything of it, and so must the key, which may
// stand at its end; so it is written down first. Where the key stands before the file, a bad one ends the upload at
// once. It is looked up again after the upload, which may take long.
func (x *exchange) readForm() *refusal {
	boundary, ok := docsgpt.FormBoundary(x.r.Header["Content-Type"])
	switch {
	case !ok || !plainEncoding(x.r.Header):
		return notForm
	case x.r.ContentLength > x.handler.MaxUpload:
		return tooLarge
	}
	x.receive()
	if x.query.HasToken {
		if no := x.admit(x.query.Token); no != nil {
			return no
		}
	}
	up := &upload{spool: forward.NewSpool(formAllowance{&x.received})}
	x.upload = up
	err := x.received.Memory(formMemory)
	if err == nil {
		up.form, err = x.readParts(boundary)
	}
	if stopped := x.received.End(); stopped != nil {
		err = stopped
	}
	if err != nil {
		up.release() // before the client is answered: others may wait for the room
		return x.formRefusal(err)
	}
	token, ok := up.form.Token()
	if ok && x.query.HasToken {
		return twoTokens
	}
	x.token = token + x.query.Token
	return nil
}

// readParts reads the parts of a form.
func (x *exchange) readParts(boundary string) (*docsgpt.Form, error) {
	return docsgpt.ReadForm(x.endpoint, boundary, forward.Limit(&x.received, x.handler.MaxUpload), x.upload.spool,
		func(token string) error {
			no := twoTokens
			if !x.query.HasToken {
				no = x.admit(token)
			}
			if no != nil {
				return &refusedToken{no}
			}
			return nil
		})
}

// formAllowance is the allowance of a form's spool, whose memory is not all that reading a form uses.
type formAllowance struct{ *quota.Body }

// Memory implements forward.Allowance.
func (a formAllowance) Memory(bytes int64) error { return a.Body.Memory(formMemory + bytes) }

// admit refuses a token that is bad already, and lets the body be counted as its key's otherwise.
func (x *exchange) admit(token string) *refusal {
	decision := x.handler.app.state.verifier.Verify(token, time.Now())
	if decision.Allowed() {
		if err := x.received.Own(decision.Key.ID); err != nil {
			return x.notReceived(err)
		}
		return nil
	}
	x.key = decision.Key
	return refusalOf(decision.Reason)
}

// formRefusal tells why a form was not read, or not written.
func (x *exchange) formRefusal(err error) *refusal {
	var token *refusedToken
	var form docsgpt.FormError
	switch {
	case errors.As(err, &token):
		return token.refusal
	case errors.Is(err, forward.ErrSpool):
		if skipped, due := x.handler.trouble.due(troubleOf{notStored.Code, ""}, time.Now()); due {
			x.handler.logger.Error("an upload cannot be stored; is there room in the folder for temporary files?",
				zap.Int("suppressed", skipped), zap.Error(err))
		}
		return notStored
	case errors.As(err, &form):
		return badRequest(form)
	default:
		return x.notReceived(err)
	}
}

// take hands the form over as the body of a request.
func (u *upload) take() forward.Body {
	spool := u.spool
	u.spool = nil
	return spool
}

func (u *upload) release() {
	if u.spool != nil {
		u.spool.Release()
		u.spool = nil
	}
}
