package caddymodule

import (
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/policy/quota"
	"github.com/docsgate/docsgate/upstream"
)

// DefaultMaxUpload is the largest form that is read by default, in bytes.
const DefaultMaxUpload = 100 << 20

// formMemory is what reading a form uses at most beside what its spool has in memory, in bytes.
const formMemory = 128 << 10

// upload is a form that was read.
type upload struct {
	form  *docsgpt.Form
	spool *upstream.Spool // nil once it was handed over
}

var (
	notForm = newError(http.StatusUnsupportedMediaType, "not_form",
		"Send the request as multipart/form-data with one boundary, and with no Content-Encoding.")
	errUploadStorage = newError(http.StatusServiceUnavailable, "upload_failed",
		"The file cannot be taken now. Please try again later.")
)

// refusedToken is a token that is known to be bad before the form has been read.
type refusedToken struct{ refusal *apiError }

func (*refusedToken) Error() string { return "the token is refused" }

// readForm reads a form. Its length must be known before DocsGPT gets anything of it, and so must the key, which may
// stand at its end; so it is written down first. Where the key stands before the file, a bad one ends the upload at
// once. It is looked up again after the upload, which may take long.
func (x *gatewayRequest) readForm() *apiError {
	boundary, ok := docsgpt.FormBoundary(x.r.Header["Content-Type"])
	switch {
	case !ok || !isIdentityEncoding(x.r.Header):
		return notForm
	case x.r.ContentLength > x.handler.MaxUpload:
		return errBodyTooLarge
	}
	x.receive()
	if x.query.HasToken {
		if no := x.preAuthenticate(x.query.Token); no != nil {
			return no
		}
	}
	up := &upload{spool: upstream.NewSpool(formAllowance{&x.received})}
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
		return errMultipleTokens
	}
	x.token = token + x.query.Token
	return nil
}

// readParts reads the parts of a form.
func (x *gatewayRequest) readParts(boundary string) (*docsgpt.Form, error) {
	return docsgpt.ReadForm(x.endpoint, boundary, upstream.Limit(&x.received, x.handler.MaxUpload), x.upload.spool,
		func(token string) error {
			no := errMultipleTokens
			if !x.query.HasToken {
				no = x.preAuthenticate(token)
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

// preAuthenticate refuses a token that is bad already, and lets the body be counted as its key's otherwise.
func (x *gatewayRequest) preAuthenticate(token string) *apiError {
	decision := x.handler.app.state.verifier.Verify(token, time.Now())
	if decision.Allowed() {
		if err := x.received.Own(decision.Key.ID); err != nil {
			return x.bodyError(err)
		}
		return nil
	}
	x.key = decision.Key
	return errorForReason(decision.Reason)
}

// formRefusal tells why a form was not read, or not written.
func (x *gatewayRequest) formRefusal(err error) *apiError {
	var token *refusedToken
	var form docsgpt.FormError
	switch {
	case errors.As(err, &token):
		return token.refusal
	case errors.Is(err, upstream.ErrSpool):
		if skipped, due := x.handler.trouble.allow(sampleKey{errUploadStorage.Code, ""}, time.Now()); due {
			x.handler.logger.Error("an upload cannot be stored; is there room in the folder for temporary files?",
				zap.Int("suppressed", skipped), zap.Error(err))
		}
		return errUploadStorage
	case errors.As(err, &form):
		return badRequest(form)
	default:
		return x.bodyError(err)
	}
}

// moveBody hands the form over as the body of a request.
func (u *upload) moveBody() upstream.Body {
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
