package api

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/docsgate/docsgate/internal/duration"
	"github.com/docsgate/docsgate/keys/registry"
)

// SecretRotation is the result of encrypting the key store again.
type SecretRotation struct {
	KeyID       string         `json:"key_id"`      // of the secret that encrypts
	Reencrypted int            `json:"reencrypted"` // keys and secrets that were encrypted again
	Remaining   map[string]int `json:"remaining"`   // number of keys that use other secrets, by key ID
	Retained    []string       `json:"retained"`    // key IDs of other secrets that must not be removed yet
}

// rotateSecret encrypts everything again that is not encrypted with the first secret.
func (a *api) rotateSecret(w http.ResponseWriter, r *http.Request) error {
	if err := requireEmptyBody(w, r); err != nil {
		return err
	}
	report, err := a.Service.Registry.RotateEncryption(r.Context(), a.Actor(r))
	if missing := (*registry.SecretMissingError)(nil); errors.As(err, &missing) {
		return newProblem(http.StatusConflict, "secret_missing", sentence(missing.Error()))
	}
	if errors.Is(err, registry.ErrNoSecret) {
		return newProblem(http.StatusConflict, "no_secret", sentence(registry.ErrNoSecret.Error()))
	}
	if err != nil {
		return err
	}
	response := SecretRotation{report.KeyID, report.Reencrypted, report.Remaining, report.Retained}
	if response.Remaining == nil {
		response.Remaining = map[string]int{}
	}
	if response.Retained == nil {
		response.Retained = []string{}
	}
	writeJSON(w, http.StatusOK, response)
	return nil
}

// sentence returns the text of an error as a sentence.
func sentence(text string) string { return strings.ToUpper(text[:1]) + text[1:] + "." }

// IDSecretRotation is a new secret that signs IDs.
type IDSecretRotation struct {
	Number int `json:"number"`
}

// idSecretRequest is the body of a request that creates a secret of IDs.
type idSecretRequest struct {
	Delay       *string `json:"delay"`
	EndPrevious bool    `json:"end_previous"`
}

// How long a secret of IDs is pending, so that a gate that has no connection to the key store for a shorter time knows it before it signs.
const (
	DefaultIDSecretDelay = 10 * time.Minute
	MaxIDSecretDelay     = 7 * 24 * time.Hour
)

// rotateIDSecret creates a secret that signs IDs.
func (a *api) rotateIDSecret(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	body, err := readBody(w, r, maxBody, true)
	if err != nil {
		return err
	}
	var wanted idSecretRequest
	if body != nil {
		if err := decode(body, &wanted); err != nil {
			return err
		}
	}
	delay := DefaultIDSecretDelay
	if wanted.Delay != nil {
		if delay, err = duration.Parse(*wanted.Delay); err != nil || delay > MaxIDSecretDelay {
			return invalid([]fieldError{{"delay", "/delay", "must be a duration such as 0s, 10m or 1d, at most 7d"}})
		}
	}
	if a.Service.RotateIDSecret == nil {
		return newProblem(http.StatusConflict, "no_secret", "This gate has no secret that signs IDs.")
	}
	number, err := a.Service.RotateIDSecret(r.Context(), a.Actor(r), delay, wanted.EndPrevious)
	if err != nil {
		return err
	}
	writeJSON(w, http.StatusCreated, IDSecretRotation{int(number)})
	return nil
}
