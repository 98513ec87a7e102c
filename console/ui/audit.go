package ui

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/docsgate/docsgate/keys/registry"
)

const entriesPerPage = 100

// auditPage is the body of the audit trail page, of all keys or of one.
type auditPage struct {
	Entries      []registry.AuditEntry
	Key, Name    string // of the key; empty: all keys
	Older, First string // links; empty: none
}

func (p *Page) audit(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	before, err := strconv.ParseUint(query.Get("before"), 10, 64)
	if err != nil {
		before = 0
	}
	t := auditPage{Key: clean(query.Get("key"))}
	if t.Entries, err = p.Service.Audit(r.Context(), t.Key, before, entriesPerPage+1); err != nil {
		return err
	}
	link := func(before uint64) string {
		v := url.Values{}
		if t.Key != "" {
			v.Set("key", t.Key)
		}
		if before > 0 {
			v.Set("before", strconv.FormatUint(before, 10))
		}
		if len(v) == 0 {
			return "/audit"
		}
		return "/audit?" + v.Encode()
	}
	if len(t.Entries) > entriesPerPage {
		t.Entries = t.Entries[:entriesPerPage]
		t.Older = link(t.Entries[entriesPerPage-1].Seq)
	}
	if before > 0 {
		t.First = link(0)
	}
	if t.Key != "" && len(t.Entries) > 0 {
		t.Name = t.Entries[0].Name
	}
	p.render(w, r, http.StatusOK, "audit", "Audit trail", t)
	return nil
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
	registry.ActionExported: "Exported keys",
	registry.ActionBackedUp: "Backed up the store",
	registry.ActionChecked:  "Import dry run",
	registry.ActionRejected: "Rejected",
}

func actionWord(a registry.Action) string {
	if word := actionWords[a]; word != "" {
		return word
	}
	return string(a)
}
