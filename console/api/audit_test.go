package api

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys/registry"
)

func TestFilteredAudit(t *testing.T) {
	w := newTestServer(t)
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	var entries []*registry.AuditEntry
	for i := range 6 {
		entries = append(entries, &registry.AuditEntry{
			At: start.Add(time.Duration(i) * time.Hour), Actor: []string{"Alice", "bob"}[i%2], Action: registry.ActionChanged, Key: "key_1", Detail: fmt.Sprint("d", i),
		})
	}
	entries[4].Action = registry.ActionRevoked
	if err := w.storage.Write(t.Context(), nil, entries); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"":                                   "d5 d4 d3 d2 d1 d0",
		"action=revoked":                     "d4",
		"actor=ALI":                          "d4 d2 d0",
		"since=2026-03-01T02:00:00Z":         "d5 d4 d3 d2",
		"until=2026-03-01T02:00:00Z":         "d1 d0",
		"until=2026-03-01T03:00:00%2B01:00":  "d1 d0",
		"actor=bob&limit=2":                  "d5 d3",
		"actor=bob&limit=2&key=key_2":        "",
		"since=2026-03-01T05:00:00Z&limit=1": "d5",
	} {
		type page struct {
			Entries []AuditEntry `json:"entries"`
		}
		var got []string
		for _, e := range decoded[page](w.call("GET", "/v1/audit?"+query, "").want(http.StatusOK)).Entries {
			got = append(got, e.Detail)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	// A page can be followed with the same filters.
	page := decoded[struct {
		Next int `json:"next_cursor"`
	}](w.call("GET", "/v1/audit?actor=bob&limit=2", "").want(http.StatusOK))
	if got := w.call("GET", fmt.Sprintf("/v1/audit?actor=bob&limit=2&cursor=%d", page.Next), "").want(http.StatusOK); !strings.Contains(got.Body, `"d1"`) ||
		strings.Contains(got.Body, "next_cursor") {
		t.Errorf("second page: %s", got.Body)
	}
	for _, query := range []string{"action=removed", "action=", "since=7d", "until=2026-03-01", "actor=" + strings.Repeat("x", 201)} {
		w.call("GET", "/v1/audit?"+query, "").problem(http.StatusBadRequest, "invalid_parameter")
	}
}
