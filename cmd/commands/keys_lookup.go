package commands

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// idForm matches the IDs of keys of all feeds.
var idForm = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._-]{0,127}$`)

// keyPath returns the path of a key in the API.
func keyPath(id string) string { return "/v1/keys/" + url.PathEscape(id) }

// find returns the key with the ID idOrName or, if there is none, the only key with that name.
func (g *client) find(ctx context.Context, idOrName string) (*keyResponse, error) {
	if idForm.MatchString(idOrName) {
		var k keyResponse
		err := g.call(ctx, http.MethodGet, keyPath(idOrName), nil, "", &k)
		if f := (*exitError)(nil); err == nil || !errors.As(err, &f) || f.status != exitNotFound {
			return &k, err
		}
	}
	var found []*keyResponse
	err := g.list(ctx, url.Values{"q": {idOrName}}, 0, func(k *keyResponse) error {
		if k.Name == idOrName {
			found = append(found, k)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	switch len(found) {
	case 0:
		// The argument is not repeated: it may be a secret by mistake.
		return nil, failf(exitNotFound, "no key with this ID or name: see \"keys list\"")
	case 1:
		return found[0], nil
	}
	ids := make([]string, 0, len(found))
	for _, k := range found {
		ids = append(ids, sanitize(k.ID)+" ("+sanitize(k.State)+")")
	}
	return nil, failf(exitRejected, "several keys have this name; name one by its ID:\n  %s", strings.Join(ids, "\n  "))
}

// pageLimit is the maximum number of keys per page of the API.
const pageLimit = 1000

// keyPage is one page of a list.
type keyPage struct {
	Keys  []*keyResponse `json:"keys"`
	Next  string         `json:"next_cursor"`
	Total int            `json:"total"`
}

// list calls yield for the keys that a query matches: at most limit, or all with limit 0.
func (g *client) list(ctx context.Context, query url.Values, limit int, yield func(*keyResponse) error) error {
	_, err := g.listed(ctx, query, limit, yield)
	return err
}

// listed is like list, and returns the number of keys that the query matches.
func (g *client) listed(ctx context.Context, query url.Values, limit int, yield func(*keyResponse) error) (total int, err error) {
	given := 0
	for {
		size := pageLimit
		if limit > 0 {
			size = min(size, limit-given)
		}
		query.Set("limit", strconv.Itoa(size))
		var page keyPage
		if err := g.call(ctx, http.MethodGet, "/v1/keys?"+query.Encode(), nil, "", &page); err != nil {
			return 0, err
		}
		for _, k := range page.Keys {
			if err := yield(k); err != nil {
				return 0, err
			}
		}
		given += len(page.Keys)
		if page.Next == "" || len(page.Keys) == 0 || limit > 0 && given >= limit {
			return page.Total, nil
		}
		query.Set("cursor", page.Next)
	}
}
