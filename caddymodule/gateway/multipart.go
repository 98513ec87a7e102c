package gateway

import (
	"errors"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/docsgate/docsgate/caddymodule/app"
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/policy/quota"
	"github.com/docsgate/docsgate/upstream"
)

// DefaultMaxUpload is the default of Handler.MaxUploadSize, in bytes.
const DefaultMaxUpload = 100 << 20

// upload is a parsed form.
type upload struct {
	form  *docsgpt.Form
	spool *upstream.Spool // nil after moveBody
}

var (
	errNotMultipart = newError(http.StatusUnsupportedMediaType, "not_form",
		"Send the request as multipart/form-data with one boundary, and with no Content-Encoding.")
	errUploadStorage = newError(http.StatusServiceUnavailable, "upload_failed",
		"The file cannot be accepted at the moment. Please try again later.")
)

// rejectedTokenError is returned if the token is invalid before the form was read to its end.
type rejectedTokenError struct{ apiErr *apiError }

func (*rejectedTokenError) Error() string { return "the token is rejected" }

// parseForm reads a form into a spool, because its length and its key must be known before it is forwarded, and the key may be
// the last field. If the key comes before the file, an invalid one ends the upload immediately. The key is verified again
// after the upload, which may take long.
func (x *gatewayRequest) parseForm() *apiError {
	boundary, ok := docsgpt.FormBoundary(x.r.Header["Content-Type"])
	switch {
	case !ok || !isIdentityEncoding(x.r.Header):
		return errNotMultipart
	case x.r.ContentLength > x.handler.MaxUploadSize:
		return errBodyTooLarge
	}
	x.receive()
	if x.query.HasToken {
		if apiErr := x.preAuthenticate(x.query.Token); apiErr != nil {
			return apiErr
		}
	}
	up := &upload{spool: upstream.NewSpool(formAllowance{&x.bodyQuota})}
	x.upload = up
	err := x.bodyQuota.Memory(app.FormMemory)
	if err == nil {
		up.form, err = x.readParts(boundary)
	}
	if stopped := x.bodyQuota.End(); stopped != nil {
		err = stopped
	}
	if err != nil {
		up.release() // before the error response, since other uploads may wait for the space
		return x.formError(err)
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
	return docsgpt.ReadForm(x.endpoint, boundary, upstream.Limit(&x.bodyQuota, x.handler.MaxUploadSize), x.upload.spool,
		func(token string) error {
			apiErr := errMultipleTokens
			if !x.query.HasToken {
				apiErr = x.preAuthenticate(token)
			}
			if apiErr != nil {
				return &rejectedTokenError{apiErr}
			}
			return nil
		})
}

// formAllowance is the allowance of the spool of a form. It adds the memory for parsing.
type formAllowance struct{ *quota.Body }

// Memory implements upstream.Allowance.
func (a formAllowance) Memory(bytes int64) error { return a.Body.Memory(app.FormMemory + bytes) }

// preAuthenticate verifies the token before the form was read. If it is valid, the body counts toward the key's quota.
func (x *gatewayRequest) preAuthenticate(token string) *apiError {
	decision := x.handler.app.State().Verifier.Verify(token, time.Now())
	if decision.Allowed() {
		if err := x.bodyQuota.Own(decision.Key.ID); err != nil {
			return x.bodyError(err)
		}
		return nil
	}
	x.key = decision.Key
	return errorForReason(decision.Reason)
}

// formError maps an error of reading or rewriting a form to an error response.
func (x *gatewayRequest) formError(err error) *apiError {
	var token *rejectedTokenError
	var form docsgpt.FormError
	switch {
	case errors.As(err, &token):
		return token.apiErr
	case errors.Is(err, upstream.ErrSpool):
		if skipped, due := x.handler.sampler.Allow(errUploadStorage.Code, "", time.Now()); due {
			x.handler.logger.Error("storing an upload failed; check the free space in the directory for temporary files",
				zap.Int("suppressed", skipped), zap.Error(err))
		}
		return errUploadStorage
	case errors.As(err, &form):
		return badRequest(form)
	default:
		return x.bodyError(err)
	}
}

// moveBody returns the form as the body of the upstream request, which then owns it.
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
