package ui

import (
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/keyindex"
)

// Values of listPage.FoundBy.
const (
	byToken         = "token"
	byPreviousToken = "previous"
	byNone          = "none"
)

// search redirects from the search form to the list. The form uses POST because it may contain a full token, which must not be in
// a URL: URLs are logged, and stay in the history of the browser.
func (p *Page) search(w http.ResponseWriter, r *http.Request) error {
	if err := parseForm(r); err != nil {
		return err
	}
	get := func(name string) string { return clean(r.PostForm.Get(name)) }
	l := listPage{Text: get("q"), State: get("state"), Source: get("source"), Feed: get("feed"), Sort: get("sort")}
	p.findToken(&l, true)
	http.Redirect(w, r, p.Base+l.link(), http.StatusSeeOther)
	return nil
}

// findToken replaces a token in the search by the key that has it. It reports whether it has changed the search. If strict, texts that
// may be a token that no key has are replaced, too, unless a search for them finds keys.
func (p *Page) findToken(l *listPage, strict bool) bool {
	token := strings.TrimSpace(l.Text)
	if id, previous := p.Service.FindToken(token); id != "" {
		*l = listPage{Key: id, FoundBy: byToken, Sort: l.Sort}
		if previous {
			l.FoundBy = byPreviousToken
		}
		return true
	}
	if keys.HasValidChecksum(token) || strict && mayBeToken(token) && !p.isInIndex(token) {
		*l = listPage{FoundBy: byNone, Sort: l.Sort}
		return true
	}
	return false
}

// isInIndex reports whether a text is part of a name, an ID or a source.
func (p *Page) isInIndex(text string) bool {
	found, err := p.Service.List(keyindex.Query{Text: text, Limit: 1})
	return err == nil && found.Total > 0
}

// minToken is the length from which a text without spaces may be a token. It is that of half a UUID.
const minToken = 16

func mayBeToken(text string) bool {
	return len(text) >= minToken && !strings.ContainsFunc(text, unicode.IsSpace)
}

// clean returns "" for text that is not valid UTF-8.
func clean(text string) string {
	if !utf8.ValidString(text) {
		return ""
	}
	return text
}
