package api

import (
	"net/http"
	"time"

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
	values, err := query(r, "key", "cursor", "limit")
	if err != nil {
		return err
	}
	limit, err := number(values, "limit", defaultEntries, maxLimit)
	if err != nil {
		return err
	}
	before, err := number(values, "cursor", 0, maxSeq)
	if err != nil {
		return err
	}
	// One more than requested, to know whether there is a next page.
	entries, err := a.Service.Audit(r.Context(), values.Get("key"), before, int(limit)+1)
	if err != nil {
		return err
	}
	response := struct {
		Entries []AuditEntry `json:"entries"`
		Next    uint64       `json:"next_cursor,omitzero"`
	}{Entries: []AuditEntry{}}
	for i, e := range entries {
		if i == int(limit) {
			response.Next = entries[i-1].Seq
			break
		}
		response.Entries = append(response.Entries, AuditEntry{
			e.Seq, e.At.UTC(), e.Actor, e.RemoteAddr, e.Action, e.Key, e.Name, e.Detail,
		})
	}
	writeJSON(w, http.StatusOK, response)
	return nil
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
