package api

import (
	"net/http"

	"github.com/docsgate/docsgate/keys"
)

// CheckResult is the response to a check of a token.
type CheckResult struct {
	Valid         bool        `json:"valid"`
	Reason        keys.Reason `json:"reason"`                  // why the token is rejected, or "allowed"
	PreviousToken bool        `json:"previous_token,omitzero"` // the token was replaced by a rotation
	Key           *Key        `json:"key,omitempty"`           // nil: no key has the token
}

// checkRequest is the body of a request that checks a token. The token itself is not part of it.
type checkRequest struct {
	SHA256 string `json:"sha256"`
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
	digest, err := keys.ParseDigest(wanted.SHA256)
	if err != nil {
		return invalid([]fieldError{{"sha256", "/sha256", "must be the SHA-256 of the token, as 64 hex digits"}})
	}
	d := a.Service.Store.Decide(digest, a.Now())
	result := CheckResult{Valid: d.Allowed(), Reason: d.Reason, PreviousToken: d.UsedPreviousToken}
	if d.Key != nil {
		shown, err := a.Service.Show(r.Context(), d.Key.ID)
		if err != nil {
			return err
		}
		key := responseKey(&shown)
		result.Key = &key
	}
	writeJSON(w, http.StatusOK, result)
	return nil
}
