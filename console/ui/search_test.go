package ui

import (
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/console/ui/internal/fixtures"
	"github.com/docsgate/docsgate/keys"
)

func TestSearchedTokenRemovedFromURL(t *testing.T) {
	w := newTestServer(t)
	id, token := w.makeUsual()
	a := w.get("/?state=active&q=+" + token)
	w.leadsTo(a, "/?by=token&key="+id)
	if strings.Contains(a.body, token) {
		t.Error("the token is in the page")
	}
	w.want(w.get(a.Header().Get("Location")), 200, "1 key found by its token", "Docs site")
}

// The form finds the key of a token of any format, and neither such a token nor one that is not known is in a URL.
func TestSearchForm(t *testing.T) {
	const agentKey = "0C1F7A4E-93b8-4d59-a53c-5d1e2b7f6a90"
	w := newTestServer(t)
	id, token := w.makeUsual()
	if page := w.get("/").body; !strings.Contains(page, `role="search" aria-label="Keys" method="post" action="/"`) {
		t.Error("the form writes what was typed into the address")
	}
	for search, to := range map[string]string{
		" " + token + "\n":                       "/?by=token&key=" + id + "&sort=name",
		"docs site":                              "/?q=docs+site&sort=name&state=active",
		"":                                       "/?sort=name&state=active",
		"partner.2025-and-no-key":                "/?by=none&sort=name",
		agentKey:                                 "/?by=none&sort=name",
		token[:30]:                               "/?by=none&sort=name",
		"66a1f0c2d4b5e6f708192a3d":               "/?q=66a1f0c2d4b5e6f708192a3d&sort=name&state=active", // a source
		id:                                       "/?q=" + id + "&sort=name&state=active",
		"three words that are long and no token": "/?q=three+words+that+are+long+and+no+token&sort=name&state=active",
	} {
		w.leadsTo(w.post("/", "q", search, "state", "active", "source", "", "feed", "", "sort", "name"), to)
	}
	w.want(w.get("/?by=none"), 200, "No keys match your search", "No key has this token", "Clear the search")
	w.want(w.get("/?by=token"), 200, "3 keys")

	m, err := w.desk.Registry.Rotate(t.Context(), fixtures.TestActor, id, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	w.leadsTo(w.post("/", "q", token), "/?by=previous&key="+id)
	w.leadsTo(w.post("/", "q", m.Token.Reveal()), "/?by=token&key="+id)
	w.want(w.get("/?by=previous&key="+id), 200, "1 key found by a previous token", "Docs site")

	adopted := keys.Key{
		ID: "agent_1", Name: "Support", Digest: keys.DigestOf(agentKey), Feed: "docsgpt:db/docsgpt", Binding: keys.Binding{Agent: keys.NewSecret(agentKey)},
	}
	if _, err := w.desk.Store.Replace(adopted.Feed, []keys.Key{adopted}); err != nil {
		t.Fatal(err)
	}
	w.leadsTo(w.post("/", "q", agentKey), "/?by=token&key=agent_1")
}

func TestListSorted(t *testing.T) {
	w := newTestServer(t)
	if err := w.desk.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	names := func(sort string) string {
		page := w.get("/?sort=" + sort)
		w.want(page, 200, "13 keys")
		var list []string
		for _, part := range strings.Split(page.body, `class="name"><a `)[1:] {
			list = append(list, strings.TrimSpace(text(part[strings.Index(part, ">")+1:strings.Index(part, "</a>")])))
		}
		return strings.Join(list, ", ")
	}
	for sort, first := range map[string]string{
		"": "CI: broken-link checker, ", "nonsense": "CI: broken-link checker, ", "-created": "status-page, ", "name": "CI: broken-link checker, ",
		"-name": "Trade fair, booth 12, ", "expires": "partner.2025, ", "used": "", "-used": "",
	} {
		if got := names(sort); !strings.HasPrefix(got, first) {
			t.Errorf("sorted by %q: %s", sort, got)
		}
	}
	page := w.get("/?sort=-name&state=active")
	for _, part := range []string{
		`aria-sort="descending"><a href="/?sort=name&amp;state=active">Name`, `href="/?state=active">Created`, `href="/?sort=used&amp;state=active">Last used`,
		`<option value="-name" selected>`,
	} {
		if !strings.Contains(page.body, part) {
			t.Errorf("the page does not contain %s", part)
		}
	}
	if page := w.get("/").body; !strings.Contains(page, `aria-sort="descending"><a href="/?sort=-created">Created`) || strings.Count(page, "aria-sort") != 1 {
		t.Error("the usual order is not marked")
	}
}

func TestAuditFilters(t *testing.T) {
	const foreign = "0c1f7a4e-93b8-4d59-a53c-5d1e2b7f6a90"
	w := newTestServer(t)
	id, token := w.makeUsual()
	w.desk.Clock.At = start.Add(24 * time.Hour)
	w.leadsTo(w.post("/keys/"+id+"/disable"), "/keys/"+id+"?done=disabled")
	for form, to := range map[[2]string]string{
		{"key", token}:               "/audit?key=" + id,
		{"key", id}:                  "/audit?key=" + id,
		{"key", foreign}:             "/audit?key=%28unknown%29",
		{"action", "disabled"}:       "/audit?action=disabled",
		{"action", "odd"}:            "/audit",
		{"actor", "ali"}:             "/audit?actor=ali",
		{"since", "2026-11-24T00:0"}: "/audit?since=2026-11-24T00%3A0",
	} {
		w.leadsTo(w.post("/audit", form[0], form[1]), to)
	}
	for query, want := range map[string]int{
		"": 2, "?action=disabled": 1, "?actor=ALI": 2, "?actor=bob": 0, "?since=2026-11-24T00:00": 1, "?until=2026-11-24": 1, "?key=%28unknown%29": 0,
		"?key=" + id + "&action=created&until=2026-11-24T00:00": 1,
	} {
		a := w.get("/audit" + query)
		if w.want(a, 200); strings.Count(a.body, "<li>") != want {
			t.Errorf("%s: %d entries, want %d", query, strings.Count(a.body, "<li>"), want)
		}
	}
	w.want(w.get("/audit?since=yesterday&actor=ali"), 422, errTimeFormat)
}
