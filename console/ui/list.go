package ui

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/keyindex"
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
	Searching                 bool
	Counts                    []count
	All                       int // keys of all states
	Feeds                     []feedOption
	Rows                      []row
	From, To, Total           int
	Next, First               string // links; empty: none
	Notice                    string
}

// count is the number of keys in one state.
type count struct {
	State string
	Keys  int
	Link  string
	Here  bool
}

// list shows a page of keys. The query has the search (q, state, source, feed) and the position (after, at).
func (p *Page) list(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	l := listPage{
		Text: clean(query.Get("q")), State: query.Get("state"),
		Source: clean(query.Get("source")), Feed: clean(query.Get("feed")),
	}
	if short := maskToken(l.Text); short != l.Text {
		l.Text = short
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
	found, next, total, err := p.Service.List(q)
	if err != nil {
		return &pageError{http.StatusBadRequest, "This page of the list no longer exists. Go back to the first page."}
	}
	at := 0
	if n, err := strconv.Atoi(query.Get("at")); err == nil && q.After != "" && n > 0 && n+len(found) <= total {
		at = n
	}
	l.Total, l.From, l.To = total, at+1, at+len(found)
	names := p.sources.load(r.Context())
	for _, k := range found {
		l.Rows = append(l.Rows, p.rowOf(k, names))
	}
	if next != "" {
		l.Next = l.link("after", next, "at", strconv.Itoa(l.To))
	}
	if q.After != "" {
		l.First = l.link()
	}
	l.Searching = l.Text != "" || l.State != "" || l.Source != "" || l.Feed != ""
	l.count(p.Service.Store.Counts(p.now()))
	l.Feeds = p.feedOptions(l.Feed)
	p.render(w, r, http.StatusOK, "list", "Keys", l)
	return nil
}

// search redirects from the search form to the list. The form uses POST because it may contain a full token, which must not be in
// a URL: URLs are logged.
func (p *Page) search(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	get := func(name string) string { return clean(r.PostForm.Get(name)) }
	l := listPage{Text: maskToken(get("q")), State: get("state"), Source: get("source"), Feed: get("feed")}
	http.Redirect(w, r, p.Base+l.link(), http.StatusSeeOther)
	return nil
}

// maskToken replaces a full token by its last characters, which find the key as well: a token must not be in a URL or a page.
func maskToken(text string) string {
	if token := strings.TrimSpace(text); keys.HasValidChecksum(token) {
		return keys.Hint(token)
	}
	return text
}

// clean returns "" for text that is not valid UTF-8.
func clean(text string) string {
	if !utf8.ValidString(text) {
		return ""
	}
	return text
}

// link returns the URL of this search with additional parameters, as name-value pairs.
func (l *listPage) link(pairs ...string) string {
	v := url.Values{}
	for i, text := range []string{l.Text, l.State, l.Source, l.Feed} {
		if text != "" {
			v.Set([]string{"q", "state", "source", "feed"}[i], text)
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

// count sets the number of keys per state, each with a link to these keys.
func (l *listPage) count(by map[string]int) {
	for _, s := range states {
		only := listPage{State: s.Name}
		l.Counts = append(l.Counts, count{State: s.Name, Keys: by[s.Name], Link: only.link(), Here: l.State == s.Name})
		l.All += by[s.Name]
	}
}
