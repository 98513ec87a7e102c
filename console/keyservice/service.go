package keyservice

import (
	"context"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/activity"
	"github.com/docsgate/docsgate/keys/keyindex"
	"github.com/docsgate/docsgate/keys/registry"
)

// Page is a page of keys, with the other fields of a keyindex.Page.
type Page struct {
	Keys       []Key
	Next       string
	Total      int
	Incomplete bool
}

// List returns one page of keys. A zero q.Now means the current time; q.LastUsed is set by the service. It reads one registry record
// per issued key on the page.
func (d *Service) List(q keyindex.Query) (Page, error) {
	if q.Now.IsZero() {
		q.Now = d.now()
	}
	q.LastUsed = d.lastUsed
	found, err := d.Index.Page(q)
	if err != nil {
		return Page{}, err
	}
	page := Page{make([]Key, 0, len(found.Keys)), found.Next, found.Total, found.Incomplete}
	for _, k := range found.Keys {
		page.Keys = append(page.Keys, d.fromIndex(context.Background(), k, q.Now))
	}
	return page, nil
}

func (d *Service) lastUsed(id string) uint32 {
	if d.Usage == nil {
		return 0
	}
	return d.Usage.LastUsed(id)
}

// FindToken returns the ID of the key of any feed that has a token, or "". previous reports whether the token was replaced by a
// rotation. The state of the key and the grace period of the token do not matter.
func (d *Service) FindToken(token string) (id string, previous bool) {
	if !keys.IsValidToken(token) {
		return "", false
	}
	digest := keys.DigestOf(token)
	k := d.Store.Lookup(digest)
	if k == nil {
		return "", false
	}
	return k.ID, k.Digest != digest
}

// Show returns a key of any feed, or registry.ErrNotFound.
func (d *Service) Show(ctx context.Context, id string) (Key, error) {
	// The registry first: its record is at least as new as the key in the store.
	rec, err := d.Registry.Get(ctx, id)
	if err == nil {
		return d.FromRecord(rec), nil
	}
	if k := d.Store.Get(id); k != nil && k.Feed != d.Feed {
		return d.fromKey(k, d.now()), nil
	}
	return Key{}, err
}

// SearchAudit is Registry.SearchAudit. It returns no entries for a text that cannot be a key ID.
func (d *Service) SearchAudit(ctx context.Context, q registry.AuditQuery) (found []registry.AuditEntry, next uint64, err error) {
	if q.Key != "" && !keys.IsValidID(q.Key) {
		return nil, 0, nil
	}
	return d.Registry.SearchAudit(ctx, q)
}

// DeleteKey is Registry.Delete. A key of another feed is a *ReadOnlyError.
func (d *Service) DeleteKey(ctx context.Context, by registry.Actor, id string) error {
	return d.ReadOnly(id, d.Registry.Delete(ctx, by, id))
}

// NameOf returns the name of a key of any feed, or "" if there is none.
func (d *Service) NameOf(id string) string {
	if k := d.Store.Get(id); k != nil {
		return k.Name
	}
	return ""
}

// FromRecord returns the Key of a record that the registry has just returned.
func (d *Service) FromRecord(r *registry.Record) Key { return d.fromIssued(r, d.now()) }

// fromIndex returns the Key of a key in the index.
func (d *Service) fromIndex(ctx context.Context, k *keys.Key, now time.Time) Key {
	if k.Feed == d.Feed {
		if rec, err := d.Registry.Get(ctx, k.ID); err == nil {
			return d.fromIssued(rec, now)
		}
	}
	return d.fromKey(k, now)
}

// fromIssued returns the Key of a registry record.
func (d *Service) fromIssued(r *registry.Record, now time.Time) Key {
	k, problem := d.Registry.Key(r)
	k.Feed = d.Feed
	v := d.fromKey(&k, now)
	v.Issued, v.UnusableReason = true, problem
	v.Binding, v.Agent = keys.SourceBinding.String(), r.Agent.Reference()
	if !r.Agent.IsZero() {
		v.Binding = keys.AgentBinding.String()
		if v.AgentName == "" {
			d.setAgent(&v, d.agentKey(&k, r.Agent.Key))
		}
	}
	v.Changed, v.Rotated = r.Changed, r.Rotated
	if !r.Leaked.IsZero() {
		v.Leaked = activity.Leak{Since: r.Leaked, Origin: r.LeakedOrigin}
	}
	v.Prompt, v.Chunks, v.Retriever = r.Prompt, r.Chunks, r.Retriever
	v.Signing = d.signingOf(k.ID, r.Policy, r.Signing, now)
	return v
}

// fromKey returns the Key with the fields that every feed has.
func (d *Service) fromKey(k *keys.Key, now time.Time) Key {
	v := Key{
		ID: k.ID, Name: k.Name, Feed: k.Feed, Issued: k.Feed == d.Feed, Binding: k.Binding.Kind().String(),
		Sources: k.SourceIDs(), Masked: mask(k), State: StateOf(k.Status(now)),
		Created: k.Created, NotBefore: k.NotBefore, Expires: k.Expires, Policy: k.Policy,
	}
	if k.State == keys.BindingUnavailable {
		v.UnusableReason = "the binding of the key is currently unavailable"
	}
	if !v.Issued {
		v.Signing = d.signingOfOther(k, now)
		d.addOverride(&v, k)
	}
	for _, o := range k.PreviousTokens {
		if k.State != keys.Revoked && now.Before(o.Until) && o.Until.After(v.PreviousTokenExpires) {
			v.PreviousTokenExpires = o.Until
		}
	}
	d.setAgent(&v, d.agentKey(k, ""))
	if d.Usage != nil {
		v.Use = d.Usage.Get(k.ID, now)
	}
	if d.Activity != nil {
		v.Rejections = d.Activity.Rejections.OfKey(k.ID)
		v.Leaked, _ = d.Activity.Leaks.Of(k)
	}
	if d.Quota != nil {
		if use, ok := d.Quota(k.ID); ok || hasQuota(k) {
			v.Quota = &use
		}
	}
	return v
}

// hasQuota reports whether the policy of a key has a quota. Others may have one of a site.
func hasQuota(k *keys.Key) bool {
	if k.Policy == nil {
		return false
	}
	l := &k.Policy.Limits
	return l.QuestionsPerDay.Count() > 0 || l.QuestionsPerMonth.Count() > 0 || l.TokensPerDay.Count() > 0
}

func (d *Service) now() time.Time {
	if d.Now != nil {
		return d.Now()
	}
	return time.Now()
}

// mask returns the masked token of a key, such as "dgk_...a1B2", or "...6f90" for a key of DocsGPT, or "" if its last characters are unknown.
func mask(k *keys.Key) string {
	if k.Hint == "" {
		return ""
	}
	if k.Facts != nil { // a key of DocsGPT, without a prefix
		return "..." + k.Hint
	}
	return keys.TokenPrefix(k.TokenKind) + "..." + k.Hint
}

// StateOf returns the value of Key.State for a key's status.
func StateOf(standing keys.Reason) string {
	if standing == keys.Allowed {
		return keys.Active.String()
	}
	return string(standing)
}
