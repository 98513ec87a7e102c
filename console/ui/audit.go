package ui

import (
	"cmp"
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/docsgate/docsgate/keys/registry"
)

const entriesPerPage = 100

// auditPage is the body of the audit trail page, of all keys or of one.
type auditPage struct {
	Entries      []registry.AuditEntry
	Key, Name    string // of the key; empty: all keys
	Action       string
	Actor        string
	Since, Until string // as entered
	Wrong        string // error of the times
	Actions      []registry.Action
	Older, First string // links; empty: none

	Missing map[string]bool // IDs of keys that are deleted or in no feed any more, so that they have no page
}

// Filtered reports whether the page has only some of the entries.
func (t auditPage) Filtered() bool {
	return t.Key != "" || t.Action != "" || t.Actor != "" || t.Since != "" || t.Until != ""
}

// audit shows a page of the audit trail. The query has the filters (key, action, actor, since, until) and the position (before).
func (p *Page) audit(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	before, err := strconv.ParseUint(query.Get("before"), 10, 64)
	if err != nil {
		before = 0
	}
	t := auditFilters(query)
	t.Actions = slices.SortedFunc(maps.Keys(actionWords), func(a, b registry.Action) int { return cmp.Compare(actionWords[a], actionWords[b]) })
	q, ok := t.query(p.now())
	if !ok {
		t.Wrong = errTimeFormat
		p.render(w, r, http.StatusUnprocessableEntity, "audit", "Audit trail", t)
		return nil
	}
	q.Before = before
	var next uint64
	if t.Entries, next, err = p.Service.SearchAudit(r.Context(), q); err != nil {
		return err
	}
	t.Missing = p.missingIn(t.Entries)
	if next > 0 {
		t.Older = t.link(next)
	}
	if before > 0 {
		t.First = t.link(0)
	}
	if t.Key != "" && len(t.Entries) > 0 {
		t.Name = t.Entries[0].Name
	}
	p.render(w, r, http.StatusOK, "audit", "Audit trail", t)
	return nil
}

// missingIn returns the IDs in entries that no key has now.
func (p *Page) missingIn(entries []registry.AuditEntry) map[string]bool {
	missing := make(map[string]bool)
	for i := range entries {
		if id := entries[i].Key; id != "" && p.Service.Store.Get(id) == nil {
			missing[id] = true
		}
	}
	return missing
}

// filterAudit redirects from the form with the filters to the page. Like the search for keys, it uses POST because a token may be
// entered in place of the key's ID.
func (p *Page) filterAudit(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	t := auditFilters(r.PostForm)
	if id, _ := p.Service.FindToken(t.Key); id != "" {
		t.Key = id
	} else if mayBeToken(t.Key) && !p.isKeyID(r.Context(), t.Key) {
		t.Key = unknownKey
	}
	http.Redirect(w, r, p.Base+t.link(0), http.StatusSeeOther)
	return nil
}

// isKeyID reports whether a text is the ID of a key, or of one that was deleted.
func (p *Page) isKeyID(ctx context.Context, text string) bool {
	_, err := p.Service.Show(ctx, text)
	return err == nil || p.deletion(ctx, text) != nil
}

// unknownKey is in the URL in place of a text that is not the ID of a key. No key has it.
const unknownKey = "(unknown)"

// auditFilters returns the filters in a form or a query.
func auditFilters(f url.Values) auditPage {
	get := func(name string) string { return strings.TrimSpace(clean(f.Get(name))) }
	t := auditPage{Key: get("key"), Action: get("action"), Actor: get("actor"), Since: get("since"), Until: get("until")}
	if _, known := actionWords[registry.Action(t.Action)]; !known {
		t.Action = ""
	}
	return t
}

// query returns the filters, or ok = false if a time is invalid.
func (t *auditPage) query(now time.Time) (q registry.AuditQuery, ok bool) {
	q = registry.AuditQuery{Key: t.Key, Action: registry.Action(t.Action), Actor: t.Actor, Limit: entriesPerPage}
	since, validSince := parseField(t.Since, now)
	until, validUntil := parseField(t.Until, now)
	q.Since, q.Until = since, until
	return q, validSince && validUntil
}

// link returns the URL of the page with these filters.
func (t *auditPage) link(before uint64) string {
	v := url.Values{}
	for name, value := range map[string]string{"key": t.Key, "action": t.Action, "actor": t.Actor, "since": t.Since, "until": t.Until} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if before > 0 {
		v.Set("before", strconv.FormatUint(before, 10))
	}
	if len(v) == 0 {
		return "/audit"
	}
	return "/audit?" + v.Encode()
}

// actionWords are the labels of the actions.
var actionWords = map[registry.Action]string{
	registry.ActionCreated:  "Created",
	registry.ActionImported: "Imported",
	registry.ActionChanged:  "Changed",
	registry.ActionRotated:  "Rotated",
	registry.ActionEnabled:  "Enabled",
	registry.ActionDisabled: "Disabled",
	registry.ActionRevoked:  "Revoked",
	registry.ActionDeleted:  "Deleted",
	registry.ActionLeaked:   "Leaked",
	registry.ActionExported: "Exported keys",
	registry.ActionBackedUp: "Backed up the store",
	registry.ActionChecked:  "Import dry run",
	registry.ActionRejected: "Rejected",

	registry.ActionSecretRotated: "Rotated a secret of the gate",
}

func actionWord(a registry.Action) string {
	if word := actionWords[a]; word != "" {
		return word
	}
	return string(a)
}
