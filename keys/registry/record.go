package registry

import (
	"slices"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// Record is a key that the gate issued, as it is stored. It holds no token.
type Record struct {
	ID      string   // public; see NewID
	Name    string   // for people: any text of 1 to 200 characters
	Sources []string // the source binding, in canonical spelling; empty with an agent binding
	Agent   Agent    // the agent binding; zero with a source binding

	Digest keys.Digest          // of the token
	Hint   string               // the token's last four characters; empty if the token is not one of the gate's own
	Old    []keys.PreviousToken // tokens that were replaced, the newest first; those whose time is over are dropped now and then

	State              keys.State // Active, Disabled or Revoked
	NotBefore, Expires time.Time  // zero: no bound
	Created, Changed   time.Time
	Rotated            time.Time // when the token was replaced last; zero: never

	// What DocsGPT's own call to make a key takes, kept to be shown by the call that lists keys. Nothing depends on it.
	Prompt, Chunks, Retriever string

	// Revision is set by the storage: it grows with each write, over all records. A write names the one it read.
	Revision uint64
}

// clone returns a copy that shares nothing that could be changed.
func (r *Record) clone() *Record {
	c := *r
	c.Sources, c.Old, c.Agent.Sealed = slices.Clone(r.Sources), slices.Clone(r.Old), slices.Clone(r.Agent.Sealed)
	return &c
}

// Agent says where the DocsGPT key is that an agent binding stands for. At most one field is set.
type Agent struct {
	Placeholder string // {env.NAME} or {file.PATH}
	Key         string // the ID of a key of another feed that has an agent binding
	Sealed      []byte // the DocsGPT key itself, sealed by a Sealer
}

// IsZero reports whether there is no agent.
func (a Agent) IsZero() bool { return a.Placeholder == "" && a.Key == "" && len(a.Sealed) == 0 }

// Reference is what may be shown of an agent: the placeholder, the ID of the key, "sealed", or "" if there is none.
func (a Agent) Reference() string {
	switch {
	case a.Placeholder != "":
		return a.Placeholder
	case a.Key != "":
		return a.Key
	case len(a.Sealed) > 0:
		return "sealed"
	default:
		return ""
	}
}

// Actor is who makes a change.
type Actor struct {
	Name       string // such as "admin token", "alice" (of basic_auth), "command line"
	RemoteAddr string // such as an IP address, "admin endpoint" or "local file"
}

// AuditEntry is one entry of the audit trail. It holds no token, digest or secret.
type AuditEntry struct {
	Seq    uint64 // grows by one with each entry
	At     time.Time
	Who    string
	From   string
	Action Action
	Key    string // ID of the key; empty for what concerns the whole store
	Name   string // of the key, at that time
	Detail string // what has changed, for people, such as "expires 2027-01-01T00:00:00Z, was never"; may be empty
}

// Action is what was done. The set is closed, and the words are stable.
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
	ActionExported Action = "exported"
	ActionBackedUp Action = "backed_up"

	ActionChecked  Action = "import_checked" // a dry run: nothing was taken in
	ActionRejected Action = "rejected"       // what was tried is in the detail
)
