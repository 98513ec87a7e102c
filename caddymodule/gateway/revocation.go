package gateway

import (
	"errors"
	"net/http"

	"github.com/docsgate/docsgate/caddymodule/lifecycle"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
)

// errRevoked is why a request is ended whose key has stopped being valid while it was forwarded.
var errRevoked = errors.New("the key is no longer valid")

// errKeyRevoked is what the client gets then. It already knows that the key was valid, so the error reveals nothing.
var errKeyRevoked = newError(http.StatusUnauthorized, "key_revoked", "The API key is no longer valid.")

// endedByGate returns the error for a client whose request the gate itself has ended because of a cause, or nil for other causes.
func endedByGate(cause error) *apiError {
	switch {
	case errors.Is(cause, lifecycle.ErrShuttingDown):
		return errShuttingDown
	case errors.Is(cause, errRevoked):
		return errKeyRevoked
	}
	return nil
}

// watchKey ends the request when its key stops being valid. It must be called after startForwarding. It reports whether the key is still
// valid: reading the body may have taken minutes.
func (c *client) watchKey(auth authentication) bool {
	return auth.Key == nil || c.handler.backend.Counters().Uses.Add(&c.use, c, auth.Decision, auth.keysVersion)
}

// unwatchKey undoes watchKey, if it was called.
func (c *client) unwatchKey() { c.handler.backend.Counters().Uses.Remove(&c.use) }

// StillAllowed implements revocation.Holder.
func (c *client) StillAllowed(key *keys.Key) bool {
	if c.signed != nil && !key.StillAccepts(c.signed) {
		return false
	}
	if key.Policy == nil {
		return true
	}
	request := c.policyRequest(key.Policy)
	return key.Policy.Check(&request) == policy.Allowed
}

// Revoked implements revocation.Holder.
func (c *client) Revoked() { c.stop(errRevoked) }
