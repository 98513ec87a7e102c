package caddymodule

import (
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/forward"
)

// DefaultMaxUpload is the largest form that is read by default, in bytes.
const DefaultMaxUpload = 100 << 20

// maxUploads is how many uploads may lie in files at once, over all sites: they share a disk, and a key may stand
// after the file, so anybody can send one.
const maxUploads = 32

var uploads = make(chan struct{}, maxUploads)

// upload is a form that was read.
type upload struct {
	form   *docsgpt.Form
	spool  *forward.Spool // nil once it was handed over
	counts bool           // it takes one of the places for uploads
}

var (
	notForm = refuseWith(http.StatusUnsupportedMediaType, "not_form",
		"Send the request as multipart/form-data with one boundary, and with no Content-Encoding.")
	tooBusy = &refusal{Refusal: docsgpt.Refusal{
		Status: http.StatusServiceUnavailable, Code: "busy", RetryAfter: "10",
		Message: "Too many files are being uploaded. Please try again in a moment.",
	}}
	notStored = refuseWith(http.StatusServiceUnavailable, "upload_failed",
		"The file cannot be taken now. Please try again later.")
)

// errBusy refuses an upload a place.
var errBusy = errors.New("too many uploads at once")

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
	case x.query.HasToken:
		if no := x.admit(x.query.Token); no != nil {
			return no
		}
	}
	up := &upload{}
	x.upload = up
	up.spool = forward.NewSpool(up.count)
	var err error
	up.form, err = docsgpt.ReadForm(x.endpoint, boundary, forward.Limit(x.r.Body, x.handler.MaxUpload), up.spool,
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
	if err != nil {
		return x.formRefusal(err)
	}
	token, ok := up.form.Token()
	if ok && x.query.HasToken {
		return twoTokens
	}
	x.token = token + x.query.Token
	return nil
}

// admit refuses a token that is bad already.
func (x *exchange) admit(token string) *refusal {
	decision := x.handler.app.state.verifier.Verify(token, time.Now())
	if decision.Allowed() {
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
	case errors.Is(err, forward.ErrTooLarge), isBodyLimit(err):
		return tooLarge
	case errors.Is(err, errBusy):
		return tooBusy
	case errors.Is(err, forward.ErrSpool):
		if skipped, due := x.handler.trouble.due(troubleOf{notStored.Code, ""}, time.Now()); due {
			x.handler.logger.Error("an upload cannot be stored; is there room in the folder for temporary files?",
				zap.Int("not_logged_before", skipped), zap.Error(err))
		}
		return notStored
	case errors.As(err, &form):
		return badRequest(form)
	default:
		return unreadable
	}
}

// count takes a place for an upload.
func (u *upload) count() error {
	select {
	case uploads <- struct{}{}:
		u.counts = true
		return nil
	default:
		return errBusy
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
	if u.counts {
		u.counts = false
		<-uploads
	}
}
