package api

import (
	"time"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys"
)

// keyJSON is a key in a response.
type keyJSON struct {
	ID             string   `json:"id"`
	Name           string   `json:"name"`
	Feed           string   `json:"feed"`
	Issued         bool     `json:"issued"`
	Binding        string   `json:"binding"`
	Sources        []string `json:"sources,omitempty"`
	Agent          string   `json:"agent,omitempty"`
	Masked         string   `json:"masked_token,omitempty"`
	State          string   `json:"state"`
	UnusableReason string   `json:"unusable_reason,omitempty"`

	Created               *time.Time `json:"created,omitempty"`
	Changed               *time.Time `json:"changed,omitempty"`
	Rotated               *time.Time `json:"rotated,omitempty"`
	NotBefore             *time.Time `json:"not_before,omitempty"`
	Expires               *time.Time `json:"expires,omitempty"`
	PreviousTokenExpires  *time.Time `json:"previous_token_expires,omitempty"`
	LastUsed              *time.Time `json:"last_used,omitempty"`
	PreviousTokenLastUsed *time.Time `json:"previous_token_last_used,omitempty"`

	Prompt    string `json:"prompt_id,omitempty"`
	Chunks    string `json:"chunks,omitempty"`
	Retriever string `json:"retriever,omitempty"`

	Requests []uint32 `json:"requests_24h"`
	Token    string   `json:"token,omitempty"` // only in the response that creates it
}

func newKeyJSON(k *keyservice.Key) keyJSON {
	return keyJSON{
		ID: k.ID, Name: k.Name, Feed: k.Feed, Issued: k.Issued, Binding: k.Binding, Sources: k.Sources, Agent: k.Agent,
		Masked: k.Masked, State: k.State, UnusableReason: k.UnusableReason,
		Created: timeOrNil(k.Created), Changed: timeOrNil(k.Changed), Rotated: timeOrNil(k.Rotated),
		NotBefore: timeOrNil(k.NotBefore), Expires: timeOrNil(k.Expires), PreviousTokenExpires: timeOrNil(k.PreviousTokenExpires),
		LastUsed: timeOrNil(k.Use.LastUsed), PreviousTokenLastUsed: timeOrNil(k.Use.OldLastUsed),
		Prompt: k.Prompt, Chunks: k.Chunks, Retriever: k.Retriever,
		Requests: k.Use.Requests[:],
	}
}

// timeOrNil returns nil for the zero time.
func timeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// states maps the states of the API to those of the index.
var states = map[string]keys.Reason{
	"active":        keys.Allowed,
	"disabled":      keys.DisabledKey,
	"revoked":       keys.RevokedKey,
	"unusable":      keys.UnusableKey,
	"not_yet_valid": keys.NotYetValid,
	"expired":       keys.Expired,
}
