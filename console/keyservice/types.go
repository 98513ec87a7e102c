// Package keyservice is the read model and the operations on keys that the API and the web pages share.
package keyservice

import (
	"context"
	"io"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/activity"
	"github.com/docsgate/docsgate/keys/keyindex"
	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
	"github.com/docsgate/docsgate/keys/usage/series"
	"github.com/docsgate/docsgate/keys/usage/tokenprice"
	"github.com/docsgate/docsgate/policy"
)

// Service gives the API and the web pages access to the keys. Its methods are safe for concurrent use; the fields must not be
// changed after the first call.
type Service struct {
	Registry *registry.Registry // keys that the gate issued; they can be changed
	Index    *keyindex.Index    // keys of all feeds
	Store    *keys.Store
	Usage    *usage.Counter
	History  *series.History  // usage over time; nil: not recorded
	Activity *activity.Log    // nil: not known, since no gate runs in this process
	Feed     string           // the name of the registry's feed in Store; keys of other feeds are read-only
	Now      func() time.Time // nil: time.Now

	// Sources lists DocsGPT's sources. Its errors are shown to users and must not contain secrets. nil: the gate has no
	// credential to list them.
	Sources func(ctx context.Context) ([]Source, error)

	// NoCredential means that the gate has no credential for DocsGPT, so that keys that are bound to sources get no answers.
	NoCredential bool

	// TestQuery sends a question through the gate with a token, as a widget would, and copies the event stream of the response to
	// w as it arrives. It returns the gate's status. nil: not available.
	TestQuery func(ctx context.Context, q TestQuestion, w io.Writer) (status int, err error)

	// RemoteGate means that TestQuery uses a gate in another process, which sees the address of this machine in place of
	// TestQuestion.Address.
	RemoteGate bool

	// Agents is the allow-list of placeholders, {env.NAME} or {file.PATH}, that new keys can have as their agents. All others are
	// rejected with the same error. IDs of keys of other feeds do not have to be listed.
	Agents []string
	// AnyAgent allows every placeholder. It is for users who can read the gate's environment and files anyway.
	AnyAgent bool

	// Quota returns what a key has used of its quotas. ok is false if nothing is counted for the key. nil: not known here.
	Quota func(id string) (use quota.Use, ok bool)

	// RotateIDSecret creates a secret that signs IDs, and returns its number. With a key store that several gates share it signs after
	// the delay. With endPrevious the IDs of earlier ones are unknown from then on. nil: not available.
	RotateIDSecret func(ctx context.Context, by registry.Actor, delay time.Duration, endPrevious bool) (number uint8, err error)

	// Health returns whether each DocsGPT responds, and whether its queue is full. It may take some seconds. nil: not known, since no gate
	// runs in this process.
	Health func(ctx context.Context) []Health

	// TokenPrice is what a million tokens cost; zero: unknown.
	TokenPrice tokenprice.Price

	// DocsGPTURL is the URL of DocsGPT's web app, such as "https://docsgpt.example.com"; empty: unknown.
	DocsGPTURL string

	GateURL string // public URL of the gate, such as "https://ask.example.com"; empty: unknown
}

// Health is the state of a DocsGPT. It contains no secret.
type Health struct {
	Address string    // of DocsGPT; empty: only the next handler knows it
	Reason  string    // what is wrong; empty: nothing that is known
	Since   time.Time // when it began; zero: unknown
	Known   bool      // whether DocsGPT responds is known
}

// TestQuestion is a question for Service.TestQuery.
type TestQuestion struct {
	Token, Text string
	Origin      string // of the page that the question seems to come from; empty: none
	Address     string // IP address of the client that the question seems to come from; empty: unknown
}

// Source is a source of DocsGPT.
type Source struct{ ID, Name string }

// Key is a key as the API and the pages show it. It contains no secret.
type Key struct {
	ID      string
	Name    string
	Feed    string   // name of the feed
	Issued  bool     // issued by the gate, so it can be changed here
	Binding string   // "source" or "agent"
	Sources []string // for an agent binding the agent's sources, if the feed knows them
	Agent   string   // reference of an agent binding: {env.NAME}, {file.PATH}, a key ID, "encrypted" (the key is stored); "": unknown

	AgentName string // of an agent binding; empty if no feed knows the agent
	LogsURL   string // DocsGPT's page with the Logs of that agent; empty: unknown

	Masked                    string    // "dgk_...a1B2", or "...6f90" for a key of DocsGPT; empty if the last characters are unknown
	State                     string    // "active", "disabled", "not_yet_valid", "expired", "revoked" or "unusable"
	UnusableReason            string    // human-readable; empty if the key is usable
	Created, Changed, Rotated time.Time // zero: unknown, or never
	NotBefore, Expires        time.Time // zero: no limit
	PreviousTokenExpires      time.Time // end of the latest grace period; zero: no previous token is valid
	Prompt, Chunks, Retriever string
	Policy                    *policy.Policy // nil: only the defaults of the site apply
	Signing                   Signing
	Overrides                 []string // fields of a key of another feed that are changed in the registry: "state", "kind", "origins", ...

	Leaked activity.Leak // zero: the token is not known to have leaked

	Use        usage.Stats
	Rejections []activity.ReasonCount // since the process began, the most frequent reason first
	Quota      *quota.Use             // nil: the key has no quotas
}
