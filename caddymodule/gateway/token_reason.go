package gateway

import (
	"net/http"
	"strings"

	"github.com/docsgate/docsgate/docsgpt"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

// Reasons of requests with a mistake that operators can recognize. They are for logs and metrics only: clients get the error of any
// invalid token.
const (
	reasonMisplacedToken = "misplaced_token" // it is not where clients of this endpoint send it
	reasonKeyID          = "key_id_as_token" // the client has sent the ID of a key
)

// maxSearchedQuery is the size of a query up to which misplacedToken searches it, in bytes.
const maxSearchedQuery = 8 << 10

// errorForToken returns the error response to a rejected token.
func (c *client) errorForToken(reason keys.Reason, token string) *apiError {
	switch {
	case reason == keys.NoToken && c.misplacedToken():
		return invalidKey(reasonMisplacedToken)
	case reason == keys.UnknownToken && c.wasReplaced(token):
		return invalidKey(string(keys.TokenRotated))
	case (reason == keys.UnknownToken || reason == keys.BadChecksum) && c.isKeyID(token):
		return invalidKey(reasonKeyID)
	}
	return errorForReason(reason)
}

// misplacedToken reports whether a request without a token has one in another place.
func (c *client) misplacedToken() bool {
	if c.endpoint.Token == docsgpt.TokenNone {
		return false
	}
	h := c.r.Header
	if c.endpoint.Token != docsgpt.TokenBearer && c.endpoint.Token != docsgpt.TokenQuery && len(h["Authorization"]) > 0 ||
		len(h["X-Api-Key"]) > 0 || len(h["Api-Key"]) > 0 || hasUnusableAuthorization(h) {
		return true
	}
	query := c.r.URL.RawQuery
	return c.endpoint.Token != docsgpt.TokenQuery && len(query) <= maxSearchedQuery && strings.Contains(query, "api_key=")
}

// hasUnusableAuthorization reports whether a request has an Authorization header that is not a bearer token.
func hasUnusableAuthorization(h http.Header) bool {
	_, ok := docsgpt.BearerToken(h)
	return !ok && len(h["Authorization"]) > 0
}

// wasReplaced reports whether a key had the token before. The log then names the key.
func (c *client) wasReplaced(token string) bool {
	state := c.handler.backend.State()
	id := state.Activity.Replaced.KeyOf(keys.DigestOf(token))
	if id == "" {
		return false
	}
	if c.key = state.Store.Get(id); c.key != nil {
		c.setPlaceholders(c.key)
	}
	return true
}

// isKeyID reports whether a text is the ID of a key, or that of an agent in DocsGPT.
func (c *client) isKeyID(text string) bool {
	return c.handler.backend.State().Store.HasAny(text, docsgptkeys.KeyID(text))
}
