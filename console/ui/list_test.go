package ui

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/console/ui/internal/fixtures"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
)

func TestEmptyList(t *testing.T) {
	desk, err := fixtures.New(t.Context(), t.TempDir(), start, nil)
	if err != nil {
		t.Fatal(err)
	}
	w := &testServer{T: t, desk: desk, page: New(Options{Service: &desk.Service, Actor: func(*http.Request) registry.Actor { return fixtures.TestActor }})}
	w.want(w.get("/"), 200, "No keys yet", "Create the first key")
}

func TestList(t *testing.T) {
	w := newTestServer(t)
	if err := w.desk.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.want(w.get("/"), 200, "13 keys", "docs.example.com", "Key file, read-only", "Requests in 24 hours", "just now", "never")
	for name, tc := range map[string]struct {
		query string
		there []string
		away  []string
	}{
		"by name":             {"q=SUPPORT", []string{"Support chat"}, []string{"Help centre"}},
		"by state":            {"state=expired", []string{"Contractor access", "partner.2025"}, []string{"Help centre"}},
		"by source":           {"source=66a1f0c2d4b5e6f708192a3d", []string{"status-page", "Mobile app"}, []string{"Help centre"}},
		"by feed":             {"feed=file:keys.yaml", []string{"status-page"}, []string{"Mobile app"}},
		"by all at once":      {"q=mobile&state=active&source=66a1f0c2d4b5e6f708192a3d", []string{"Mobile app"}, []string{"status-page"}},
		"by a state unknown":  {"state=odd", []string{"13 keys"}, nil},
		"without a result":    {"q=nobody", []string{"No keys match your search", "Clear the search"}, []string{"Mobile app"}},
		"with text not UTF-8": {"q=%ff%fe", []string{"13 keys"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			a := w.get("/?" + tc.query)
			w.want(a, 200, tc.there...)
			for _, one := range tc.away {
				if strings.Contains(a.body, one) {
					t.Errorf("%s is on the page", one)
				}
			}
		})
	}
	w.want(w.get("/?after=nonsense"), http.StatusBadRequest, "Go back to the first page")
}

func TestListPagination(t *testing.T) {
	w := newTestServer(t)
	const all = perPage*2 + 10
	for i := range all {
		if _, err := w.desk.Registry.Create(t.Context(), fixtures.TestActor, registry.CreateRequest{Name: fmt.Sprintf("paged %d;", i), Sources: []string{"s"}}); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]bool{}
	var ranges []string
	for path := "/?q=paged"; path != ""; {
		a := w.get(path)
		w.want(a, 200, "110 keys")
		for i := range all {
			if name := fmt.Sprintf("<bdi>paged %d;</bdi>", i); strings.Contains(a.body, name) {
				seen[name] = true
			}
		}
		said, _, _ := strings.Cut(text(a.body[strings.Index(a.body, `id="found"`):]), " of ")
		ranges = append(ranges, strings.TrimSpace(said[strings.Index(said, ">")+1:]))
		_, rest, more := strings.Cut(a.body, `rel="next" href="`)
		if path = ""; more {
			path, _, _ = strings.Cut(rest, `"`)
			path = strings.ReplaceAll(path, "&amp;", "&")
		}
	}
	if got := strings.Join(ranges, ", "); len(seen) != all || got != "1 to 50, 51 to 100, 101 to 110" {
		t.Errorf("saw %d keys on pages %s", len(seen), got)
	}
}

func TestMoment(t *testing.T) {
	for words, at := range map[string]time.Duration{
		"just now": -20 * time.Second, "in a moment": 20 * time.Second, "3 minutes ago": -3 * time.Minute, "in 2 days": 50 * time.Hour,
		"1 year ago": -366 * 24 * time.Hour,
	} {
		if m := momentOf(start.Add(at), start); m.Words != words || m.Machine == "" || !strings.HasSuffix(m.Exact, " UTC") {
			t.Errorf("%v: %+v", at, m)
		}
	}
	if !momentOf(time.Time{}, start).IsZero() {
		t.Error("no time is a time")
	}
}

func TestInvisible(t *testing.T) {
	for text, want := range map[string]bool{
		"": true, " ": true, "\u200b\u200d": true, "\u3164": true, "\u2800": true, "\u00ad\u202e": true, "\u0301": true,
		"a": false, "\U0001F600": false, "\u200bx": false, ".": false,
	} {
		if invisible(text) != want {
			t.Errorf("%q: %t", text, !want)
		}
	}
}

func TestSparkline(t *testing.T) {
	var requests [usage.Hours]uint32
	if p := sparklineOf(requests, start); p.Words != "No requests in the last 24 hours" || p.Bars[0].Height != 0 {
		t.Errorf("%+v", p)
	}
	requests[23] = 1
	if p := sparklineOf(requests, start); p.Words != "1 request in the last 24 hours, in the hour from 14:00 UTC" {
		t.Errorf("%q", p.Words)
	}
	requests[0] = 4_000_000_000
	p := sparklineOf(requests, start)
	if p.Bars[0].Height != plotHeight || p.Bars[0].Y != 0 || p.Bars[23].Height != 2 || p.Bars[0].Hour != "15:00" {
		t.Errorf("%+v", p.Bars)
	}
	if want := "4,000,000,001 requests in the last 24 hours; the most, 4,000,000,000, in the hour from 15:00 UTC"; p.Words != want {
		t.Errorf("%q", p.Words)
	}
}

func TestBalanceBidi(t *testing.T) {
	for name, tc := range map[string]struct{ text, want string }{
		"plain text stays":             {"a \u0645 b", "a \u0645 b"},
		"an override is ended":         {"\u202ea", "\u202ea\u202c"},
		"all of them, inside out":      {"\u202ea\u2066b\u202dc", "\u202ea\u2066b\u202dc\u202c\u2069\u202c"},
		"what is ended stays":          {"\u2067a\u2069b", "\u2067a\u2069b"},
		"an isolate ends what's in it": {"\u2067\u202ea\u2069b", "\u2067\u202ea\u2069b"},
		"nothing of others is ended":   {"a\u2069b", "ab"},
		"an end that does nothing":     {"a\u202cb\u202e", "a\u202cb\u202e\u202c"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := balanceBidi(tc.text); got != tc.want {
				t.Errorf("got %+q, want %+q", got, tc.want)
			}
		})
	}
}
