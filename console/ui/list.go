package ui

import (
	"net/http"
	"net/url"
	"strconv"

	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/keyindex"
	"github.com/docsgate/docsgate/keys/registry"
)

const perPage = 50

// states are the states of a key in display order, with those of the index.
var states = []struct {
	Name   string
	reason keys.Reason
}{
	{"active", keys.Allowed},
	{"not_yet_valid", keys.NotYetValid},
	{"disabled", keys.DisabledKey},
	{"expired", keys.Expired},
	{"unusable", keys.UnusableKey},
	{"revoked", keys.RevokedKey},
}

// listPage is the body of the list of keys.
type listPage struct {
	Text, State, Source, Feed string // search and filters
	Sort                      string // value of one of the Sorts
	Key                       string // ID of the only key on the page, which was found by a token
	FoundBy                   string // "token" or "previous": which one it was. "none": no key has it
	Searching                 bool
	Counts                    []count
	All                       int // keys of all states
	Feeds                     []feedOption
	Sorts                     []sortOption
	Columns                   map[string]column // that can be sorted, by the name of the order
	Rows                      []row
	From, To, Total           int
	Next, First               string               // links; empty: none
	Incomplete                bool                 // see keyindex.Page
	Deleted                   *registry.AuditEntry // about the deletion that has led to this page; nil: none
	Missing                   int                  // keys that no feed has any more, whose changes are stored
}

// count is the number of keys in one state.
type count struct {
	State string
	Keys  int
	Link  string
	Here  bool
}

// list shows a page of keys. The query has the search (q, state, source, feed), the order (sort) and the position (after, at). After
// the deletion of a key it has its ID (deleted).
func (p *Page) list(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	l := listPage{
		Text: clean(query.Get("q")), State: query.Get("state"), Source: clean(query.Get("source")), Feed: clean(query.Get("feed")),
		Sort: query.Get("sort"), Key: clean(query.Get("key")), FoundBy: query.Get("by"),
	}
	if l.Key == "" && l.FoundBy != byNone {
		l.FoundBy = ""
	}
	if p.findToken(&l, false) {
		http.Redirect(w, r, p.Base+l.link(), http.StatusSeeOther)
		return nil
	}
	q := keyindex.Query{Text: l.Text, Source: l.Source, Feed: l.Feed, Now: p.now(), After: query.Get("after"), Limit: perPage}
	for _, s := range states {
		if s.Name == l.State {
			q.State = s.reason
		}
	}
	if q.State == "" {
		l.State = ""
	}
	l.sortBy(&q)
	l.Searching = l.Text != "" || l.State != "" || l.Source != "" || l.Feed != "" || l.Key != "" || l.FoundBy == byNone
	if err := p.fill(r, &l, q); err != nil {
		return err
	}
	l.count(p.Service.Store.Counts(p.now()))
	l.Deleted = p.deletion(r.Context(), query.Get("deleted"))
	l.Feeds, l.Missing = p.feedOptions(l.Feed), p.countMissing()
	p.render(w, r, http.StatusOK, "list", "Keys", l)
	return nil
}

// fill sets the rows of the list.
func (p *Page) fill(r *http.Request, l *listPage, q keyindex.Query) error {
	var found keyservice.Page
	switch {
	case l.FoundBy == byNone:
	case l.Key != "":
		if k, err := p.Service.Show(r.Context(), l.Key); err == nil {
			found = keyservice.Page{Keys: []keyservice.Key{k}, Total: 1}
		}
	default:
		var err error
		if found, err = p.Service.List(q); err != nil {
			return &pageError{http.StatusBadRequest, "This page of the list no longer exists. Go back to the first page."}
		}
	}
	at := 0
	if n, err := strconv.Atoi(r.URL.Query().Get("at")); err == nil && q.After != "" && n > 0 && n+len(found.Keys) <= found.Total {
		at = n
	}
	l.Total, l.From, l.To, l.Incomplete = found.Total, at+1, at+len(found.Keys), found.Incomplete
	names := p.sources.load(r.Context())
	for _, k := range found.Keys {
		l.Rows = append(l.Rows, p.rowOf(k, names))
	}
	if found.Next != "" {
		l.Next = l.link("after", found.Next, "at", strconv.Itoa(l.To))
	}
	if q.After != "" {
		l.First = l.link()
	}
	return nil
}

// link returns the URL of this search with additional parameters, as name-value pairs.
func (l *listPage) link(pairs ...string) string {
	v := url.Values{}
	for _, field := range [...]struct{ name, value string }{
		{"q", l.Text}, {"state", l.State}, {"source", l.Source}, {"feed", l.Feed}, {"sort", l.Sort}, {"key", l.Key}, {"by", l.FoundBy},
	} {
		if field.value != "" {
			v.Set(field.name, field.value)
		}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		v.Set(pairs[i], pairs[i+1])
	}
	if len(v) == 0 {
		return "/"
	}
	return "/?" + v.Encode()
}

// count sets the number of keys per state, each with a link to these keys. States without keys are omitted, except the selected one.
func (l *listPage) count(by map[string]int) {
	for _, s := range states {
		l.All += by[s.Name]
		if by[s.Name] > 0 || l.State == s.Name {
			only := listPage{State: s.Name, Sort: l.Sort}
			l.Counts = append(l.Counts, count{State: s.Name, Keys: by[s.Name], Link: only.link(), Here: l.State == s.Name})
		}
	}
}

// States returns the names of all states, for the filter.
func (listPage) States() []string {
	names := make([]string, len(states))
	for i, s := range states {
		names[i] = s.Name
	}
	return names
}
