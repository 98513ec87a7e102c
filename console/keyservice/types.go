// Package keyservice shows keys to people: what the API and the page tell of a key, in one place.
package keyservice

import (
	"context"
	"io"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/keyindex"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
)

// Service is all that a console works with.
type Service struct {
	Registry *registry.Registry // keys that the gate issued; they can be changed
	Index    *keyindex.Index    // keys of all feeds
	Store    *keys.Store
	Usage    *usage.Counter
	Feed     string           // the name of the registry's feed in Store; keys of other feeds can only be looked at
	Now      func() time.Time // nil: time.Now

	// Sources lists DocsGPT's sources. Its errors are shown to people and hold no secret. nil: the gate has no credential
	// that could.
	Sources func(ctx context.Context) ([]Source, error)

	// TestQuery asks a question through the gate with a token, as a widget would, and writes the event stream of the answer to
	// w as it comes. The status is the gate's. nil: that cannot be done here.
	TestQuery func(ctx context.Context, token, question string, w io.Writer) (status int, err error)

	// Agents are the placeholders, {env.NAME} or {file.PATH}, that keys made here may name as their agents; others are rejected,
	// all with the same words. Ids of keys of other feeds may be named without.
	Agents []string
	// AnyAgent lets every placeholder be named: for those who can read the gate's environment and files by themselves.
	AnyAgent bool

	GateURL string // where clients reach the gate, such as "https://ask.example.com"; empty: not known
}

// Source is a source of DocsGPT.
type Source struct{ ID, Name string }

// Key is what is told of a key. It holds no secret.
type Key struct {
	ID      string
	Name    string
	Feed    string   // name of the feed
	Issued  bool     // by the gate: it can be changed here
	Binding string   // "source" or "agent"
	Sources []string // with an agent binding those of the agent, where the feed knows them
	Agent   string   // the reference of an agent binding: {env.NAME}, {file.PATH}, a key's ID, "sealed", or "" if it is not known

	Masked                    string    // "dgk_...a1B2"; empty if nothing of the token is known
	State                     string    // "active", "disabled", "not_yet_valid", "expired", "revoked" or "unusable"
	UnusableReason            string    // why an unusable key is, for people; else empty
	Created, Changed, Rotated time.Time // zero: not known, never
	NotBefore, Expires        time.Time // zero: no bound
	PreviousTokenExpires      time.Time // until when a replaced token counts yet; zero: there is none
	Prompt, Chunks, Retriever string

	Use usage.Stats
}
