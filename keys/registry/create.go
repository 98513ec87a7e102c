package registry

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// CreateRequest is a key to be made.
type CreateRequest struct {
	Name                      string   // required
	Sources                   []string // exactly one of Sources, Agent, AgentKey
	Agent                     string   // a reference: {env.NAME}, {file.PATH}, or the ID of a key of another feed
	AgentKey                  string   // the DocsGPT key itself; it is sealed
	NotBefore, Expires        time.Time
	Prompt, Chunks, Retriever string
}

// CreateResult is a key and its token, which exists only here.
type CreateResult struct {
	Record Record
	Token  keys.Secret
}

// Create makes a key. Errors join *FieldErrors if the draft is at fault. With ErrNotApplied there is a key.
func (r *Registry) Create(ctx context.Context, by Actor, d CreateRequest) (*CreateResult, error) {
	rules, _ := r.currentRules()
	c := validator{rules: rules, now: r.moment()}
	rec := &Record{ID: NewID(), State: keys.Active, Created: c.now, Changed: c.now}
	rec.Name = c.name(d.Name)
	agentKey := r.bind(&c, rec, d.Sources, d.Agent, d.AgentKey)
	rec.NotBefore, rec.Expires = c.times(d.NotBefore, d.Expires)
	if !rec.Expires.IsZero() && !rec.Expires.After(c.now) {
		c.fault("expires", "must be in the future")
	}
	rec.Prompt, rec.Chunks = c.note("prompt_id", d.Prompt), c.note("chunks", d.Chunks)
	rec.Retriever = c.note("retriever", d.Retriever)
	if err := c.err(); err != nil {
		return nil, err
	}
	token := keys.NewToken()
	rec.Digest, rec.Hint = keys.DigestOf(token), keys.Hint(token)
	if err := rules.taken(rec.ID, rec.Digest); err != nil {
		return nil, err
	}
	if err := r.seal(ctx, rec, agentKey); err != nil {
		return nil, err
	}
	err := r.put(ctx, []*Record{rec}, r.entry(by, ActionCreated, rec, rec.describe()))
	if err != nil && !errors.Is(err, ErrNotApplied) {
		return nil, err
	}
	return &CreateResult{Record: *rec, Token: keys.NewSecret(token)}, err
}

// bind sets the binding of a record, all but an agent's key, which it returns: it is sealed when nothing else is wrong.
func (r *Registry) bind(c *validator, rec *Record, sources []string, agent, agentKey string) (key keys.Secret) {
	if !c.oneBinding(sources, agent, agentKey) {
		return key
	}
	switch {
	case len(sources) > 0:
		rec.Sources = c.sources(sources)
	case agent != "":
		rec.Agent = c.agent(agent)
	default:
		key = c.agentKey(agentKey, r.sealer)
	}
	return key
}

// seal puts an agent's key into a record, if there is one.
func (r *Registry) seal(ctx context.Context, rec *Record, key keys.Secret) error {
	if key.IsZero() {
		return nil
	}
	if err := r.checkSecretFile(ctx); err != nil {
		return err
	}
	var err error
	rec.Agent.Sealed, err = r.sealer.seal(rec.ID, key)
	return err
}

// checkSecretFile refuses to make a new secret while there are keys that were sealed with another: then that one was lost on
// the way, say when the storage was restored without it, and a new one would stand in its place.
func (r *Registry) checkSecretFile(ctx context.Context) error {
	if r.sealer.file.Exists() {
		return nil
	}
	_, err := r.storage.All(ctx, func(rec *Record) error {
		if len(rec.Agent.Sealed) > 0 && !r.sealer.file.Exists() { // it may have been made in the meantime
			return fmt.Errorf("the secret %s is missing, and there are DocsGPT keys that only it opens: "+
				"put it back from your backup", r.sealer.file.Path)
		}
		return nil
	})
	return err
}

// describe says in words what a key is bound to and when it counts.
func (r *Record) describe() string {
	var b strings.Builder
	switch {
	case len(r.Sources) == 1:
		fmt.Fprintf(&b, "source %s", r.Sources[0])
	case len(r.Sources) > 0:
		shown := r.Sources
		if len(shown) > 5 {
			shown = shown[:5]
		}
		fmt.Fprintf(&b, "%d sources: %s", len(r.Sources), strings.Join(shown, ", "))
		if len(shown) < len(r.Sources) {
			b.WriteString(", ...")
		}
	default:
		fmt.Fprintf(&b, "agent %s", r.Agent.Reference())
	}
	if !r.NotBefore.IsZero() {
		fmt.Fprintf(&b, ", from %s", formatTime(r.NotBefore))
	}
	if !r.Expires.IsZero() {
		fmt.Fprintf(&b, ", expires %s", formatTime(r.Expires))
	}
	if r.State != keys.Active {
		fmt.Fprintf(&b, ", %s", r.State)
	}
	return b.String()
}

// formatTime writes a bound in time.
func formatTime(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}
