package api

import (
	"net/http"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/keys/keyindex"
)

func TestSortedKeys(t *testing.T) {
	w := newTestServer(t)
	for _, body := range []string{
		`{"name":"b","source":"s","expires":"2099-01-01T00:00:00Z"}`, `{"name":"C","source":"s"}`, `{"name":"a","source":"s","expires":"2098-01-01T00:00:00Z"}`,
	} {
		w.call("POST", "/v1/keys", body).want(http.StatusCreated)
	}
	listed := func(query string) (names, cursor string) {
		page := decoded[struct {
			Keys []Key  `json:"keys"`
			Next string `json:"next_cursor"`
		}](w.call("GET", "/v1/keys?source=s&"+query, "").want(http.StatusOK))
		for _, k := range page.Keys {
			names += k.Name
		}
		return names, page.Next
	}
	for sort, want := range map[string]string{
		"name": "abC", "-name": "Cba", "expires": "abC", "-expires": "Cba",
	} {
		if got, _ := listed("sort=" + sort); got != want {
			t.Errorf("sort=%s: %s, want %s", sort, got, want)
		}
		first, cursor := listed("limit=2&sort=" + sort)
		rest, _ := listed("limit=2&sort=" + sort + "&cursor=" + cursor)
		if first+rest != want {
			t.Errorf("sort=%s by pages: %s and %s, want %s", sort, first, rest, want)
		}
	}
	for _, sort := range keyindex.SortNames() {
		if got, _ := listed("sort=" + sort); len(got) != 3 {
			t.Errorf("sort=%s: %q", sort, got)
		}
	}
	if p := w.call("GET", "/v1/keys?sort=size", "").problem(http.StatusBadRequest, "invalid_parameter"); !strings.Contains(p.Detail, "-used") {
		t.Errorf("an unknown order: %s", p.Detail)
	}
}
