package api

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/docsgate/docsgate/keys/registry"
)

// defaultEntries is the default number of audit entries per page.
const defaultEntries = 100

// maxSeq is the largest integer that JavaScript represents exactly.
const maxSeq = 1<<53 - 1

// AuditEntry is an entry of the audit trail in a response.
type AuditEntry struct {
	Seq        uint64          `json:"seq"`
	At         time.Time       `json:"at"`
	Actor      string          `json:"who"`
	RemoteAddr string          `json:"from"`
	Action     registry.Action `json:"action"`
	Key        string          `json:"key,omitempty"`
	Name       string          `json:"name,omitempty"`
	Detail     string          `json:"detail,omitempty"`
}

func (a *api) listAudit(w http.ResponseWriter, r *http.Request) error {
	values, err := query(r, "key", "action", "actor", "since", "until", "cursor", "limit")
	if err != nil {
		return err
	}
	q, err := auditQuery(values)
	if err != nil {
		return err
	}
	entries, next, err := a.Service.SearchAudit(r.Context(), q)
	if err != nil {
		return err
	}
	response := struct {
		Entries []AuditEntry `json:"entries"`
		Next    uint64       `json:"next_cursor,omitzero"`
	}{Entries: []AuditEntry{}, Next: next}
	for _, e := range entries {
		response.Entries = append(response.Entries, AuditEntry{
			e.Seq, e.At.UTC(), e.Actor, e.RemoteAddr, e.Action, e.Key, e.Name, e.Detail,
		})
	}
	writeJSON(w, http.StatusOK, response)
	return nil
}

// auditQuery returns the filters and the position in the parameters of a request.
func auditQuery(values url.Values) (q registry.AuditQuery, err error) {
	limit, err := number(values, "limit", defaultEntries, maxLimit)
	if err != nil {
		return q, err
	}
	if q.Before, err = number(values, "cursor", 0, maxSeq); err != nil {
		return q, err
	}
	q.Key, q.Action, q.Actor, q.Limit = values.Get("key"), registry.Action(values.Get("action")), values.Get("actor"), int(limit)
	if values.Has("action") && !slices.Contains(registry.Actions(), q.Action) {
		return q, invalidParameter("action", "is not an action: see the document of the API")
	}
	if utf8.RuneCountInString(q.Actor) > maxText {
		return q, invalidParameter("actor", fmt.Sprintf("has at most %d characters", maxText))
	}
	for name, bound := range map[string]*time.Time{"since": &q.Since, "until": &q.Until} {
		if !values.Has(name) {
			continue
		}
		if *bound, err = time.Parse(time.RFC3339, values.Get(name)); err != nil {
			return q, invalidParameter(name, "must be a time such as 2027-01-31T00:00:00Z")
		}
	}
	return q, nil
}

func (a *api) listSources(w http.ResponseWriter, r *http.Request) error {
	if _, err := query(r); err != nil {
		return err
	}
	if a.Service.Sources == nil {
		return newProblem(http.StatusNotImplemented, "not_configured",
			"The gate has no credential to list DocsGPT's sources. Specify sources by ID.")
	}
	found, err := a.Service.Sources(r.Context())
	if err != nil {
		p := newProblem(http.StatusBadGateway, "upstream_failed", "Listing the sources failed: "+err.Error())
		p.cause = err
		return p
	}
	type source struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	}
	response := struct {
		Sources []source `json:"sources"`
	}{make([]source, len(found))}
	for i, s := range found {
		response.Sources[i] = source{s.ID, s.Name}
	}
	writeJSON(w, http.StatusOK, response)
	return nil
}
