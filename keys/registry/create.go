package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
)

// CreateRequest describes a key to create. Exactly one of Sources, Agent and AgentKey is required.
type CreateRequest struct {
	Name                      string // required
	Sources                   []string
	Agent                     string    // a reference: {env.NAME}, {file.PATH}, or the ID of a key of another feed
	AgentKey                  string    // the DocsGPT key itself, which is stored encrypted
	NotBefore, Expires        time.Time // zero: no limit
	Prompt, Chunks, Retriever string
	Policy                    *policy.Policy // nil: only the defaults of the site apply
	Signing                   SigningChange  // the generation, and public keys
}

// CreateResult is a key and its token. The token is not stored: it cannot be retrieved later.
type CreateResult struct {
	Record     Record
	Token      keys.Secret
	SignSecret keys.Secret // the secret that signs tokens of visitors, if one was created; cannot be retrieved later, either
}

// Create creates a key. A key that accepts signed tokens of visitors gets a secret for signing, unless the request has public keys. If the
// request is invalid, the error joins *FieldErrors. If the error is ErrNotApplied, the key was created and is returned.
func (r *Registry) Create(ctx context.Context, by Actor, d CreateRequest) (*CreateResult, error) {
	rules, _ := r.currentRules()
	c := validator{rules: rules, now: r.currentTime()}
	rec := &Record{ID: NewID(), State: keys.Active, Created: c.now, Changed: c.now}
	rec.Name = c.name(d.Name)
	agentKey := r.bind(&c, rec, d.Sources, d.Agent, d.AgentKey)
	rec.NotBefore, rec.Expires = c.times(d.NotBefore, d.Expires)
	if !rec.Expires.IsZero() && !rec.Expires.After(c.now) {
		c.errorf("expires", "must be in the future")
	}
	rec.Prompt, rec.Chunks = c.displayText("prompt_id", d.Prompt), c.displayText("chunks", d.Chunks)
	rec.Retriever = c.displayText("retriever", d.Retriever)
	rec.Policy = c.policy(d.Policy)
	rec.Signing, _ = d.Signing.apply(&c, nil)
	signs := acceptsVisitors(rec.Policy) && !rec.Signing.canVerify()
	if signs && r.encrypter == nil {
		c.errs = append(c.errs, errCannotStoreSecrets)
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	token := rec.newToken()
	if err := rules.checkUnused(rec.ID, rec.Digest); err != nil {
		return nil, err
	}
	if err := r.encryptAgentKey(ctx, rec, agentKey); err != nil {
		return nil, err
	}
	detail := rec.describe()
	var signSecret keys.Secret
	if signs {
		if err := r.checkSecretFile(ctx); err != nil {
			return nil, err
		}
		rec.Signing = rec.Signing.clone()
		var created string
		var err error
		if signSecret, created, err = r.newSignSecret(ctx, rec.ID, rec.Signing, 0); err != nil {
			return nil, err
		}
		detail += ", " + created
	}
	err := r.put(ctx, []*Record{rec}, r.newEntry(by, ActionCreated, rec, detail))
	if err != nil && !errors.Is(err, ErrNotApplied) {
		return nil, err
	}
	return &CreateResult{Record: *rec, Token: keys.NewSecret(token), SignSecret: signSecret}, err
}

// bind sets the binding of a record. An agent's key is returned instead: it is encrypted after everything was validated.
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
		key = c.agentKey(agentKey, r.encrypter)
	}
	return key
}

// encryptAgentKey sets a record's agent to an encrypted key. A zero key has no effect.
func (r *Registry) encryptAgentKey(ctx context.Context, rec *Record, key keys.Secret) error {
	if key.IsZero() {
		return nil
	}
	if err := r.checkSecretFile(ctx); err != nil {
		return err
	}
	var err error
	rec.Agent.Encrypted, err = r.encrypter.encrypt(ctx, agentKeyOf(rec.ID), key)
	return err
}

// checkSecretFile returns an error if the secret is missing although there are keys or secrets for signing that are encrypted with it. It
// was lost then, for example because the storage was restored without it, and must not be replaced by a new one.
func (r *Registry) checkSecretFile(ctx context.Context) error {
	if r.encrypter.exists() || r.encrypter.shared != nil { // the storage knows which secrets it needs
		return nil
	}
	check := func(what string, encrypted bool) error {
		if encrypted && !r.encrypter.exists() { // it may have been created in the meantime
			return fmt.Errorf("the secret %s is missing, but stored %s are encrypted with it: "+
				"restore it from your backup", r.encrypter.place(), what)
		}
		return nil
	}
	_, err := r.storage.All(ctx, func(rec *Record) error {
		return cmp.Or(check("DocsGPT keys", len(rec.Agent.Encrypted) > 0), check("secrets for signing", rec.Signing.hasSecrets()))
	})
	if err != nil {
		return err
	}
	return r.storage.Overrides(ctx, func(o *Override) error { return check("secrets for signing", o.Signing.hasSecrets()) })
}

// describe describes the binding, the policy and the validity period of a key, for the audit trail.
func (r *Record) describe() string {
	var b strings.Builder
	b.WriteString(r.describeBinding())
	for _, change := range policyChanges(nil, r.Policy) {
		b.WriteString(", " + change)
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

func (r *Record) describeBinding() string {
	switch len(r.Sources) {
	case 0:
		return "agent " + r.Agent.Reference()
	case 1:
		return "source " + r.Sources[0]
	default:
		return fmt.Sprintf("%d sources: %s", len(r.Sources), firstFew(r.Sources))
	}
}

// firstFew lists at most five texts.
func firstFew(texts []string) string {
	if len(texts) > 5 {
		return strings.Join(texts[:5], ", ") + ", ..."
	}
	return strings.Join(texts, ", ")
}

// formatTime formats a limit of a validity period.
func formatTime(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}
