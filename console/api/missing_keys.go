package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys/registry"
)

// MissingKey has the changes that are stored for a key that no feed has, in a response.
type MissingKey struct {
	ID    string `json:"id"`
	State string `json:"state,omitempty"` // "disabled", or absent
	Policy
	Overrides []string  `json:"overrides"`
	Changed   time.Time `json:"changed"`
}

// MissingKeyPage is a page of the list of missing keys.
type MissingKeyPage struct {
	Keys  []MissingKey `json:"keys"`
	Next  string       `json:"next_cursor,omitempty"`
	Total int          `json:"total"`
}

func responseMissingKey(o *registry.Override) MissingKey {
	k := MissingKey{
		ID: o.ID, Policy: responsePolicy(o.Policy), Overrides: keyservice.OverriddenFields(o), Changed: o.Changed.UTC(),
	}
	if o.Disabled {
		k.State = "disabled"
	}
	return k
}

func (a *api) listMissingKeys(w http.ResponseWriter, r *http.Request) error {
	values, err := query(r, "limit", "cursor")
	if err != nil {
		return err
	}
	limit, err := number(values, "limit", defaultLimit, maxLimit)
	if err != nil {
		return err
	}
	if a.Service.Activity == nil {
		return errNotRunning("the keys of all feeds")
	}
	all, err := a.Service.MissingKeys()
	if err != nil {
		return err
	}
	response := MissingKeyPage{Keys: []MissingKey{}, Total: len(all)}
	if after := values.Get("cursor"); after != "" {
		start, found := slices.BinarySearchFunc(all, after, func(o *registry.Override, id string) int { return strings.Compare(o.ID, id) })
		if found {
			start++
		}
		all = all[start:]
	}
	if len(all) > int(limit) {
		all = all[:limit]
		response.Next = all[limit-1].ID
	}
	for _, o := range all {
		response.Keys = append(response.Keys, responseMissingKey(o))
	}
	writeJSON(w, http.StatusOK, response)
	return nil
}

func (a *api) forgetMissingKey(w http.ResponseWriter, r *http.Request) error {
	if err := requireEmptyBody(w, r); err != nil {
		return err
	}
	if a.Service.Activity == nil {
		return errNotRunning("the keys of all feeds")
	}
	id := r.PathValue("id")
	stored := a.Service.Registry.Override(id)
	// A client that disconnects must not interrupt the change.
	if err := a.Service.ForgetMissingKey(context.WithoutCancel(r.Context()), a.Actor(r), id); err != nil {
		return err
	}
	writeJSON(w, http.StatusOK, responseMissingKey(stored))
	return nil
}
