package api

import (
	"net/http"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/visitortoken"
)

// CheckResult is the response to a check of a token.
type CheckResult struct {
	Valid         bool        `json:"valid"`
	Reason        keys.Reason `json:"reason"`                  // why the token is rejected, or "allowed"
	PreviousToken bool        `json:"previous_token,omitzero"` // the token was replaced by a rotation
	Key           *Key        `json:"key,omitempty"`           // nil: no key has the token, or it is not signed by the key that it names

	// Visitor and Expires are claims of a token that its key has signed.
	Visitor string     `json:"visitor,omitempty"`
	Expires *time.Time `json:"expires,omitempty"`
}

// checkRequest is the body of a request that checks a token. It has exactly one field. A key's own token is not part of it, only its digest; a
// signed token is, since its signature is verified.
type checkRequest struct {
	SHA256       *string `json:"sha256"`
	VisitorToken *string `json:"visitor_token"`
}

// decide returns the decision on the token, and the errors about values, which do not repeat them.
func (c *checkRequest) decide(store *keys.Store, now time.Time) (d keys.Decision, faults []fieldError) {
	switch {
	case (c.SHA256 == nil) == (c.VisitorToken == nil):
		return d, []fieldError{{"sha256", "/sha256", "must be present, or visitor_token in its place"}}
	case c.SHA256 != nil:
		digest, err := keys.ParseDigest(*c.SHA256)
		if err != nil {
			return d, []fieldError{{"sha256", "/sha256", "must be the SHA-256 of the token, as 64 hex digits"}}
		}
		return store.Decide(digest, now), nil
	case !visitortoken.HasTokenForm(*c.VisitorToken):
		return d, []fieldError{{"visitor_token", "/visitor_token", "must be a signed token of a visitor"}}
	}
	return store.DecideSigned(*c.VisitorToken, now), nil
}

// checkToken reports what the gate decides on a token now, apart from the policy of its key.
func (a *api) checkToken(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	body, err := readBody(w, r, maxBody, false)
	if err != nil {
		return err
	}
	var wanted checkRequest
	if err := decode(body, &wanted); err != nil {
		return err
	}
	d, faults := wanted.decide(a.Service.Store, a.Now())
	if faults != nil {
		return invalid(faults)
	}
	result := CheckResult{Valid: d.Allowed(), Reason: d.Reason, PreviousToken: d.UsedPreviousToken}
	if d.Key != nil {
		shown, err := a.Service.Show(r.Context(), d.Key.ID)
		if err != nil {
			return err
		}
		key := responseKey(&shown)
		result.Key = &key
	}
	if d.Visitor != nil {
		expires := d.Visitor.Expires().UTC()
		result.Visitor, result.Expires = d.Visitor.ID, &expires
	}
	writeJSON(w, http.StatusOK, result)
	return nil
}
