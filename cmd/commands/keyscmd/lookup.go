package keyscmd

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/docsgate/docsgate/cmd/commands/internal/cli"
	"github.com/docsgate/docsgate/cmd/commands/internal/terminal"
	"github.com/docsgate/docsgate/keys"
)

// keyPath returns the path of a key in the API.
func keyPath(id string) string { return "/v1/keys/" + url.PathEscape(id) }

// find returns the key with the ID idOrName or, if there is none, the only key with that name.
func (g *client) find(ctx context.Context, idOrName string) (*key, error) {
	if keys.IsValidID(idOrName) {
		var k key
		err := g.Call(ctx, http.MethodGet, keyPath(idOrName), nil, "", &k)
		if cli.Status(err) != cli.ExitNotFound {
			return &k, err
		}
	}
	var found []*key
	err := g.list(ctx, url.Values{"q": {idOrName}}, 0, func(k *key) error {
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
		return nil, cli.Errorf(cli.ExitNotFound, "no key with this ID or name: see \"keys list\"")
	case 1:
		return found[0], nil
	}
	ids := make([]string, 0, len(found))
	for _, k := range found {
		ids = append(ids, terminal.Sanitize(k.ID)+" ("+terminal.Sanitize(k.State)+")")
	}
	return nil, cli.Errorf(cli.ExitRejected, "several keys have this name; name one by its ID:\n  %s", strings.Join(ids, "\n  "))
}

// findIssued is like find, for a key that a command changes. A key of another feed than "feed store" is an error that says where to
// change it.
func (g *client) findIssued(ctx context.Context, idOrName string) (*key, error) {
	k, err := g.find(ctx, idOrName)
	switch {
	case err != nil || k.Issued:
		return k, err
	case strings.HasPrefix(k.Feed, fileFeedPrefix):
		return nil, readOnly(k, disableInFile)
	}
	return nil, readOnly(k, "change it there")
}

// fileFeedPrefix begins the names of feeds of key files.
const fileFeedPrefix = "file:"

// How to change a key of a key file.
const (
	changeInFile  = "change it in the key file; the gate reloads the file automatically"
	disableInFile = "remove it from the key file, or set its state to disabled there; the gate reloads the file automatically"
)

// findToUpdate is like findIssued, for a change of the state or the policy, which the store can have for keys of all feeds but key
// files. inFile says how to change a key of one.
func (g *client) findToUpdate(ctx context.Context, idOrName, inFile string) (*key, error) {
	k, err := g.find(ctx, idOrName)
	if err != nil || k.Issued || !strings.HasPrefix(k.Feed, fileFeedPrefix) {
		return k, err
	}
	return nil, readOnly(k, inFile)
}

// readOnly returns the error for a key of another feed. fix says how to change it.
func readOnly(k *key, fix string) error {
	return cli.Errorf(cli.ExitRejected, "the key %s comes from the feed %s, so this command cannot change it: %s",
		terminal.Sanitize(k.ID), terminal.Sanitize(k.Feed), fix)
}

// pageLimit is the maximum number of keys per page of the API.
const pageLimit = 1000

// keyPage is one page of a list.
type keyPage struct {
	Keys  []*key `json:"keys"`
	Next  string `json:"next_cursor"`
	Total int    `json:"total"`
}

// list calls yield for the keys that a query matches: at most limit, or all with limit 0.
func (g *client) list(ctx context.Context, query url.Values, limit int, yield func(*key) error) error {
	_, err := g.listed(ctx, query, limit, yield)
	return err
}

// listed is like list, and returns the number of keys that the query matches.
func (g *client) listed(ctx context.Context, query url.Values, limit int, yield func(*key) error) (total int, err error) {
	given := 0
	for {
		size := pageLimit
		if limit > 0 {
			size = min(size, limit-given)
		}
		query.Set("limit", strconv.Itoa(size))
		var page keyPage
		if err := g.Call(ctx, http.MethodGet, "/v1/keys?"+query.Encode(), nil, "", &page); err != nil {
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

// change makes a change that has no parameters, such as "disable", and returns the changed key.
func (g *client) change(ctx context.Context, id, verb string) (*key, error) {
	var k key
	err := g.Call(ctx, http.MethodPost, keyPath(id)+"/"+verb, nil, "", &k)
	return &k, err
}
