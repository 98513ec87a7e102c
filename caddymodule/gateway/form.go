package gateway

import (
	"errors"
	"io"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/docsgate/docsgate/bodyquota"
	"github.com/docsgate/docsgate/caddymodule/app"
	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/upstream"
)

// DefaultMaxUpload is the default of Handler.MaxUploadSize, in bytes.
const DefaultMaxUpload = 100 << 20

var (
	errNotMultipart = newError(http.StatusUnsupportedMediaType, "not_form",
		"Send the request as multipart/form-data with one boundary, and with no Content-Encoding.")
	errUploadStorage = newError(http.StatusServiceUnavailable, "upload_failed",
		"The file cannot be accepted at the moment. Please try again later.")
)

// readForm reads a form into a spool, because its length and its key must be known before it is forwarded, and the key may be
// the last field. If the key comes before the file, an invalid one ends the upload immediately.
func (b *requestBody) readForm(c *client, head *requestHead) (auth authentication, apiErr *apiError) {
	boundary, ok := docsgpt.FormBoundary(c.r.Header["Content-Type"])
	switch {
	case !ok || !isIdentityEncoding(c.r.Header):
		return auth, errNotMultipart
	case c.r.ContentLength > c.handler.MaxUploadSize:
		return auth, errBodyTooLarge
	}
	b.receive(c, nil)
	if head.query.HasToken {
		if auth, apiErr = b.authenticate(c, head.query.Token); apiErr != nil {
			return auth, apiErr
		}
	}
	b.spool = upstream.NewSpool(formAllowance{&b.quota})
	auth, err := b.readParts(c, head, boundary, auth)
	if stopped := b.quota.End(); stopped != nil {
		err = stopped
	}
	if err != nil {
		b.releaseSpool() // before the error response, since other uploads may wait for the space
		return auth, c.formError(err)
	}
	return auth, nil
}

// readParts reads the form, and authenticates as soon as the token is known.
func (b *requestBody) readParts(c *client, head *requestHead, boundary string, auth authentication) (authentication, error) {
	if err := b.quota.Memory(app.FormMemory); err != nil {
		return auth, err
	}
	limited := http.MaxBytesReader(nil, io.NopCloser(&b.quota), c.handler.MaxUploadSize)
	b.form = docsgpt.NewForm(c.endpoint.Endpoint, boundary, limited, b.spool)
	if err := b.form.ReadToFile(); err != nil {
		return auth, err
	}
	token, ok := b.form.Token()
	if ok && head.query.HasToken {
		return auth, &rejectedError{errMultipleTokens}
	}
	if ok {
		var apiErr *apiError
		if auth, apiErr = b.authenticate(c, token); apiErr != nil {
			return auth, &rejectedError{apiErr}
		}
	}
	if err := b.form.ReadRest(); err != nil {
		return auth, err
	}
	if token, ok = b.form.Token(); ok && head.query.HasToken {
		return auth, &rejectedError{errMultipleTokens}
	}
	// The key may have been revoked while the file was read, which takes minutes on a slow connection.
	auth, apiErr := b.authenticate(c, token+head.query.Token)
	if apiErr != nil {
		return auth, &rejectedError{apiErr}
	}
	return auth, nil
}

// authenticate verifies a token. From then on the body counts toward the quota of its key.
func (b *requestBody) authenticate(c *client, token string) (authentication, *apiError) {
	auth, apiErr := c.authenticate(token)
	if apiErr != nil {
		return auth, apiErr
	}
	if err := b.quota.Own(auth.Key.ID); err != nil {
		return auth, bodyError(err)
	}
	return auth, nil
}

// formAllowance is the allowance of the spool of a form. It adds the memory for parsing.
type formAllowance struct{ *bodyquota.Body }

// Memory implements upstream.Allowance.
func (a formAllowance) Memory(bytes int64) error { return a.Body.Memory(app.FormMemory + bytes) }

// rejectedError is an error response that ends the reading of a form.
type rejectedError struct{ apiErr *apiError }

func (*rejectedError) Error() string { return "the request is rejected" }

// formError maps an error of reading or rewriting a form to an error response.
func (c *client) formError(err error) *apiError {
	var rejected *rejectedError
	var form docsgpt.FormError
	switch {
	case errors.As(err, &rejected):
		return rejected.apiErr
	case errors.Is(err, upstream.ErrSpool):
		if skipped, due := c.handler.sampler.Allow(errUploadStorage.Code, "", time.Now()); due {
			c.handler.logger.Error("storing an upload failed; check the free space in the directory for temporary files",
				zap.Int("suppressed", skipped), zap.Error(err))
		}
		return errUploadStorage
	case errors.As(err, &form):
		return badRequest(form)
	default:
		return bodyError(err)
	}
}
