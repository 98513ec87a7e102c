package ui

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

// deletedKeyError is registry.ErrNotFound for a key that was deleted. Its page leads to the audit trail of the key.
type deletedKeyError struct {
	pageError
	id string
}

// Unwrap makes errors.As find the pageError.
func (e *deletedKeyError) Unwrap() error { return &e.pageError }

// deletePage is the body of the page that asks for confirmation.
type deletePage struct {
	row
	Recorded bool // usage over time is recorded
}

func (p *Page) deleteConfirm(w http.ResponseWriter, r *http.Request) error {
	k, err := p.issued(r)
	if err != nil {
		return err
	}
	b := deletePage{p.rowOf(k, p.sources.load(r.Context())), p.Service.History != nil}
	if !b.Deletable() {
		return registry.ErrNotRevoked
	}
	p.render(w, r, http.StatusOK, "delete", "Delete "+k.Name, b)
	return nil
}

func (p *Page) delete(w http.ResponseWriter, r *http.Request) error {
	k, err := p.issued(r)
	if err != nil {
		return err
	}
	if err := p.Service.DeleteKey(writeContext(r), p.Actor(r), k.ID); err != nil {
		return p.explainMissing(r.Context(), k.ID, err) // another request may have deleted it in the meantime
	}
	http.Redirect(w, r, p.Base+"/?"+url.Values{"deleted": {k.ID}}.Encode(), http.StatusSeeOther)
	return nil
}

// find returns the key of a request, of any feed.
func (p *Page) find(r *http.Request) (keyservice.Key, error) {
	id := r.PathValue("id")
	k, err := p.Service.Show(r.Context(), id)
	return k, p.explainMissing(r.Context(), id, err)
}

// explainMissing returns a *deletedKeyError for registry.ErrNotFound if the key with this ID was deleted. It returns other errors
// unchanged.
func (p *Page) explainMissing(ctx context.Context, id string, err error) error {
	if !errors.Is(err, registry.ErrNotFound) {
		return err
	}
	e := p.deletion(ctx, id)
	if e == nil {
		return err
	}
	text := fmt.Sprintf("This key was deleted on %s. Its audit trail remains.", momentOf(e.At, p.now()).Exact)
	return &deletedKeyError{pageError{http.StatusNotFound, text}, id}
}

// deletion returns the entry of the audit trail about the deletion of a key. It is nil if there is none, or if the audit trail cannot be
// read now: pages only add an explanation from it.
func (p *Page) deletion(ctx context.Context, id string) *registry.AuditEntry {
	if id == "" || keys.HasValidChecksum(id) || keys.HasBadChecksum(id) { // with a token, an error of the storage would contain it
		return nil
	}
	found, _, err := p.Service.SearchAudit(ctx, registry.AuditQuery{Key: id, Action: registry.ActionDeleted, Limit: 1})
	if err != nil || len(found) == 0 {
		return nil
	}
	return &found[0]
}
