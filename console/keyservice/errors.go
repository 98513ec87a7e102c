package keyservice

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/visitortoken"
)

// ApplyPending is the text for registry.ErrNotApplied.
const ApplyPending = "The change is stored, but the gate could not apply it yet. It retries automatically; its log has the reason."

// storeUnavailable is the text for registry.ErrUnavailable.
const storeUnavailable = "The database of the key store is unavailable. Known keys stay valid, but no key can be created or changed until it " +
	"is available again; the log of the gate has the reason. If the database failed during the change, check whether the change was stored."

// storeSecretMissing is the text for registry.ErrWrongSecret.
const storeSecretMissing = "This gate does not have the secret that encrypts the key store, so no key can be created or changed here. Copy the " +
	"secret from another gate: the file store.secret, or the option secret of feed store; the log of this gate has its key ID. Other gates are not affected."

// RetryAfter is the value of the header Retry-After of responses with status 503, in seconds.
const RetryAfter = "5"

// ReadOnlyError is the error for a change of a key that another feed has.
type ReadOnlyError struct{ Feed string } // name of the feed

// Error implements error.
func (e *ReadOnlyError) Error() string { return "the key comes from the feed " + e.Feed }

// ReadOnly returns a *ReadOnlyError for registry.ErrNotFound if another feed has the key, since the registry does not know it. It
// returns other errors unchanged.
func (d *Service) ReadOnly(id string, err error) error {
	if errors.Is(err, registry.ErrNotFound) {
		if key := d.Store.Get(id); key != nil && key.Feed != d.Feed {
			return &ReadOnlyError{key.Feed}
		}
	}
	return err
}

// Response is how the API and the web page respond to an error.
type Response struct {
	Status int
	Code   string // stable, for programs
	Text   string // complete sentences, for users; contains no secret
	Fault  bool   // a failure of the gate, which has to be logged
}

// ResponseTo returns the response to an error of the registry, of the service, or of reading a body. Field errors
// (registry.FieldError) are not covered: API and page respond with each of them.
func ResponseTo(err error) Response {
	var readOnly *ReadOnlyError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		text := fmt.Sprintf("The body is too large: the limit is %d bytes.", tooLarge.Limit)
		return Response{http.StatusRequestEntityTooLarge, "too_large", text, false}
	case errors.As(err, &readOnly):
		return Response{http.StatusConflict, "read_only_feed", "The key comes from the feed " + readOnly.Feed +
			" and is read-only here. Change it in its feed.", false}
	case errors.Is(err, registry.ErrNotFound):
		return Response{http.StatusNotFound, "key_not_found", "There is no key with this ID.", false}
	case errors.Is(err, registry.ErrRevoked):
		return Response{http.StatusConflict, "revoked", "The key is revoked permanently. Create a new key instead.", false}
	case errors.Is(err, registry.ErrNotRevoked):
		return Response{http.StatusConflict, "not_revoked", "The key is not revoked. Revoke it first: only a revoked key can be deleted.", false}
	case errors.Is(err, registry.ErrNotApplied):
		return Response{http.StatusServiceUnavailable, "apply_pending", ApplyPending, true}
	case errors.Is(err, registry.ErrUnavailable):
		return Response{http.StatusServiceUnavailable, "store_unavailable", storeUnavailable, true}
	case errors.Is(err, registry.ErrWrongSecret):
		return Response{http.StatusServiceUnavailable, "store_secret_missing", storeSecretMissing, true}
	case errors.Is(err, registry.ErrTooManyOverrides):
		return Response{
			http.StatusConflict, "too_many", fmt.Sprintf("The store has changes of %d keys of other feeds, which is the maximum. Remove some of them.",
				registry.MaxOverrides), false,
		}
	case errors.Is(err, ErrFeedUnavailable):
		return Response{
			http.StatusServiceUnavailable, "feed_unavailable", "Not every feed is loaded, so a key may be missing only temporarily. " +
				"Try again when all feeds are loaded.", false,
		}
	case errors.Is(err, ErrKeyExists):
		return Response{http.StatusConflict, "key_exists", "A feed has this key. Change the key instead.", false}
	case errors.Is(err, keys.ErrVisitorsOff):
		return Response{http.StatusConflict, "visitors_off", "The key does not accept signed tokens. Set its field visitors to optional or required.", false}
	case errors.Is(err, visitortoken.ErrNoSecret):
		return Response{http.StatusConflict, "no_sign_secret", "The gate has no secret that signs tokens of this key. Create one.", false}
	case errors.Is(err, keys.ErrNotActive):
		return Response{http.StatusConflict, "key_not_active", "The key is not active, so the token would be rejected.", false}
	case errors.Is(err, registry.ErrConflict):
		return Response{http.StatusConflict, "conflict", "The key was changed concurrently. Check it and try again.", false}
	case errors.Is(err, registry.ErrExists):
		return Response{http.StatusConflict, "already_exists", "The ID or the token belongs to another key.", false}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return Response{
			http.StatusServiceUnavailable, "deadline_exceeded", "The request was canceled, or timed out, before it was completed.", true,
		}
	default:
		return Response{
			http.StatusInternalServerError, "internal", "An internal error occurred. The log of the gate has the reason.", true,
		}
	}
}
