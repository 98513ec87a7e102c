package registry

import (
	"bytes"
	"iter"
	"slices"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
)

// Record is a key that the gate has issued, as it is stored. It does not contain a token.
type Record struct {
	ID      string   // public; see NewID
	Name    string   // for users: any text of 1 to 200 characters
	Sources []string // source binding, in canonical spelling; empty with an agent binding
	Agent   Agent    // agent binding; zero with a source binding

	Digest         keys.Digest          // of the token
	Hint           string               // the token's last four characters; empty if the gate did not create it
	TokenKind      policy.Kind          // kind that the token's prefix indicates: that of the policy when the token was created
	PreviousTokens []keys.PreviousToken // newest first; expired ones are removed by the next write

	Policy  *policy.Policy // nil: only the defaults of the site apply; never changes once stored
	Signing *Signing       // what the signed tokens of visitors are verified with; nil: nothing

	State              keys.State // Active, Disabled or Revoked
	NotBefore, Expires time.Time  // zero: no limit
	Created, Changed   time.Time
	Rotated            time.Time // time of the last rotation; zero: never

	// When a browser first presented the current token of a secret key, and on a page of which origin. Zero: not known to have leaked;
	// the origin may be empty. A new token has not leaked.
	Leaked       time.Time
	LeakedOrigin string

	// Parameters of DocsGPT's own endpoint for creating keys, stored only for its endpoint that lists keys.
	Prompt, Chunks, Retriever string

	// When the key was deleted; zero: it was not. Of a deleted key only the ID, the digest, the state Revoked and the times Created, Changed
	// and Deleted are stored, so that its ID and its token are never used again.
	Deleted time.Time

	// Revision is set by the storage and increases with each write of any record. A write requires the current one.
	Revision uint64
}

// clone returns a deep copy.
func (r *Record) clone() *Record {
	c := *r
	c.Sources, c.PreviousTokens, c.Agent.Encrypted = slices.Clone(r.Sources), slices.Clone(r.PreviousTokens), slices.Clone(r.Agent.Encrypted)
	return &c
}

// IsDeleted reports whether the key was deleted.
func (r *Record) IsDeleted() bool { return !r.Deleted.IsZero() }

// Digests iterates over the digests of the current and the previous tokens.
func (r *Record) Digests() iter.Seq[keys.Digest] {
	return func(yield func(keys.Digest) bool) {
		if !yield(r.Digest) {
			return
		}
		for i := range r.PreviousTokens {
			if !yield(r.PreviousTokens[i].Digest) {
				return
			}
		}
	}
}

// Agent is the DocsGPT key of an agent binding, or a reference to it. At most one field is set.
type Agent struct {
	Placeholder string // {env.NAME} or {file.PATH}
	Key         string // the ID of a key of another feed that has an agent binding
	Encrypted   []byte // the DocsGPT key itself, encrypted by an Encrypter
}

// IsZero reports whether there is no agent.
func (a Agent) IsZero() bool { return a.Placeholder == "" && a.Key == "" && len(a.Encrypted) == 0 }

// equal reports whether two agents are equal. Encryptions of the same key differ.
func (a *Agent) equal(o *Agent) bool {
	return a.Placeholder == o.Placeholder && a.Key == o.Key && bytes.Equal(a.Encrypted, o.Encrypted)
}

// Reference returns the public representation of an agent: the placeholder, the ID of the key, "encrypted" for an encrypted key, or
// "" if there is none.
func (a Agent) Reference() string {
	switch {
	case a.Placeholder != "":
		return a.Placeholder
	case a.Key != "":
		return a.Key
	case len(a.Encrypted) > 0:
		return "encrypted"
	default:
		return ""
	}
}

// Actor is the author of a change.
type Actor struct {
	Name       string // such as "admin token", "alice" (of basic_auth), "command line"
	RemoteAddr string // such as an IP address, "admin endpoint" or "local file"
}

// AuditEntry is an entry of the audit trail. It contains no token, digest or secret.
type AuditEntry struct {
	Seq        uint64 // increases by one with each entry
	At         time.Time
	Actor      string // Actor.Name
	RemoteAddr string // Actor.RemoteAddr
	Action     Action
	Key        string // ID of the key; empty for an action on the whole store
	Name       string // of the key, at that time
	Detail     string // the changes, for users, such as "expires 2027-01-01T00:00:00Z, was never"; may be empty
}

// Action is the kind of an AuditEntry. There are no others, and the words are stable.
type Action string

// The actions.
const (
	ActionCreated  Action = "created"
	ActionImported Action = "imported"
	ActionChanged  Action = "changed"
	ActionRotated  Action = "rotated"
	ActionEnabled  Action = "enabled"
	ActionDisabled Action = "disabled"
	ActionRevoked  Action = "revoked"
	ActionDeleted  Action = "deleted"
	ActionLeaked   Action = "leaked" // a browser has presented a secret key
	ActionExported Action = "exported"
	ActionBackedUp Action = "backed_up"

	ActionSecretRotated Action = "secret_rotated" // a secret of the gate; the detail says which

	ActionChecked  Action = "import_checked" // a dry run: nothing was imported
	ActionRejected Action = "rejected"       // the detail describes the attempt
)

// Actions returns all actions.
func Actions() []Action {
	return []Action{
		ActionCreated, ActionImported, ActionChanged, ActionRotated, ActionEnabled, ActionDisabled, ActionRevoked, ActionDeleted, ActionLeaked,
		ActionExported, ActionBackedUp, ActionSecretRotated, ActionChecked, ActionRejected,
	}
}
