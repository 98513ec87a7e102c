package ui

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys/registry"
)

// missingKeysPage is the body of the page with the changes of keys that no feed has any more.
type missingKeysPage struct {
	Keys        []missingKey
	Total       int
	Next, First string // links; empty: none
	NotLoaded   bool   // not every feed is loaded, so it is not known which keys are missing
	Removed     string // ID of the key whose changes have just been removed
}

// missingKey has the changes of one key.
type missingKey struct {
	*registry.Override
	Fields []string
}

func (p *Page) missingKeys(w http.ResponseWriter, r *http.Request) error {
	b := missingKeysPage{Removed: clean(r.URL.Query().Get("removed"))}
	all, err := p.Service.MissingKeys()
	switch {
	case errors.Is(err, keyservice.ErrFeedUnavailable):
		b.NotLoaded = true
	case err != nil:
		return err
	}
	b.Total = len(all)
	if after := r.URL.Query().Get("after"); after != "" {
		b.First = "/missing"
		at, found := slices.BinarySearchFunc(all, after, func(o *registry.Override, id string) int { return strings.Compare(o.ID, id) })
		if found {
			at++
		}
		all = all[at:]
	}
	if len(all) > perPage {
		all = all[:perPage]
		b.Next = "/missing?" + url.Values{"after": {all[perPage-1].ID}}.Encode()
	}
	for _, o := range all {
		b.Keys = append(b.Keys, missingKey{o, keyservice.OverriddenFields(o)})
	}
	p.render(w, r, http.StatusOK, "missing", "Missing keys", b)
	return nil
}

func (p *Page) forgetMissingKey(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	if err := p.Service.ForgetMissingKey(writeContext(r), p.Actor(r), id); err != nil {
		return err
	}
	http.Redirect(w, r, p.Base+"/missing?"+url.Values{"removed": {id}}.Encode(), http.StatusSeeOther)
	return nil
}

// countMissing returns the number of missing keys for the link on the list, 0 if it is not known.
func (p *Page) countMissing() int {
	all, err := p.Service.MissingKeys()
	if err != nil {
		return 0
	}
	return len(all)
}
