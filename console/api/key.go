package api

import (
	"time"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/quota"
)

// Key is a key in a response. It never contains the digest of a token or a key of DocsGPT.
type Key struct {
	ID             string   `json:"id"`
	Name           string   `json:"name"`
	Feed           string   `json:"feed"`
	Issued         bool     `json:"issued"`
	Binding        string   `json:"binding"`
	Sources        []string `json:"sources,omitempty"`
	Agent          string   `json:"agent,omitempty"`
	AgentName      string   `json:"agent_name,omitempty"`
	Masked         string   `json:"masked_token,omitempty"`
	State          string   `json:"state"`
	UnusableReason string   `json:"unusable_reason,omitempty"`
	Policy
	SignSecrets    []SignSecret `json:"sign_secrets,omitempty"`
	SignPublicKeys []string     `json:"sign_public_key,omitempty"`
	Generation     uint32       `json:"generation,omitzero"`
	SigningProblem string       `json:"sign_secret_problem,omitempty"`
	Overrides      []string     `json:"overrides,omitempty"`

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

	Requests []uint32 `json:"requests_24h"` // per hour, the oldest first

	Quota      *Quota           `json:"quota,omitempty"`
	Leaked     *Leak            `json:"leaked,omitempty"`
	Rejections []RejectionCount `json:"rejections,omitempty"`

	// Only in the response that creates it.
	Token      string `json:"token,omitempty"`
	SignSecret string `json:"sign_secret,omitempty"`
}

// Quota is what a key has used of its quotas.
type Quota struct {
	QuestionsToday       int64     `json:"questions_today"`
	QuestionsThisMonth   int64     `json:"questions_this_month"`
	TokensToday          int64     `json:"tokens_today"`
	EstimatedTokensToday int64     `json:"estimated_tokens_today"` // the part of TokensToday that is estimated
	DayEnds              time.Time `json:"day_ends"`
	MonthEnds            time.Time `json:"month_ends"`
}

// KeyRequest is, for clients of the API, the body of a request that creates a key, or a key in the body of an import. Exactly one of
// Sources, Agent and AgentKey must be set. ID, SHA256, State and Created are for imports only.
type KeyRequest struct {
	ID        string     `json:"id,omitempty"`
	Name      string     `json:"name,omitempty"`
	Sources   []string   `json:"sources,omitempty"`
	Agent     string     `json:"agent,omitempty"`     // a placeholder, or the ID of a key of another feed
	AgentKey  string     `json:"agent_key,omitempty"` // a key of DocsGPT, which the store encrypts
	SHA256    string     `json:"sha256,omitempty"`    // of the token, in hex; empty: a new token
	State     string     `json:"state,omitempty"`
	NotBefore *time.Time `json:"not_before,omitempty"`
	Expires   *time.Time `json:"expires,omitempty"`
	Created   *time.Time `json:"created,omitempty"`
	Prompt    string     `json:"prompt_id,omitempty"`
	Chunks    string     `json:"chunks,omitempty"`
	Retriever string     `json:"retriever,omitempty"`
	PolicyRequest
	SignPublicKeys []string `json:"sign_public_key,omitempty"`
	Generation     uint32   `json:"generation,omitzero"`
}

// ImportedKey is the result of importing one key.
type ImportedKey struct {
	ID       string `json:"id,omitempty"` // empty in a dry run, if the gate would generate it
	Name     string `json:"name"`
	Token    string `json:"token,omitempty"`    // if it is new
	Existing string `json:"existing,omitempty"` // ID of the key in the store that has the same token
}

func responseKey(k *keyservice.Key) Key {
	response := Key{
		ID: k.ID, Name: k.Name, Feed: k.Feed, Issued: k.Issued, Binding: k.Binding, Sources: k.Sources, Agent: k.Agent, AgentName: k.AgentName,
		Masked: k.Masked, State: k.State, UnusableReason: k.UnusableReason, Policy: responsePolicy(k.Policy), Overrides: k.Overrides,
		Created: timeOrNil(k.Created), Changed: timeOrNil(k.Changed), Rotated: timeOrNil(k.Rotated),
		NotBefore: timeOrNil(k.NotBefore), Expires: timeOrNil(k.Expires), PreviousTokenExpires: timeOrNil(k.PreviousTokenExpires),
		LastUsed: timeOrNil(k.Use.LastUsed), PreviousTokenLastUsed: timeOrNil(k.Use.OldLastUsed),
		Prompt: k.Prompt, Chunks: k.Chunks, Retriever: k.Retriever,
		Quota: responseQuota(k.Quota), Requests: k.Use.Requests[:], Leaked: leakOrNil(k.Leaked), Rejections: rejectionCounts(k.Rejections),
	}
	response.setSigning(&k.Signing)
	return response
}

func responseQuota(u *quota.Use) *Quota {
	if u == nil {
		return nil
	}
	return &Quota{
		QuestionsToday: u.QuestionsToday, QuestionsThisMonth: u.QuestionsThisMonth,
		TokensToday: u.TokensToday, EstimatedTokensToday: u.EstimatedTokensToday,
		DayEnds: u.DayEnd.UTC(), MonthEnds: u.MonthEnd.UTC(),
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
