package ui

import (
	"slices"
	"strings"

	"github.com/docsgate/docsgate/console/keyservice"
)

// confirmSources reports whether a key may be created with these sources: DocsGPT lists all of them, it lists none, or the user has
// seen the warning about the others. The script of the form shows the warning before the form is sent; without it, the form is
// shown again with the warning, and sets Unknown.
func (d *createForm) confirmSources(ids []string, listed []keyservice.Source) bool {
	if len(listed) == 0 {
		return true
	}
	seen := lines(d.SeenUnknown)
	for _, id := range ids {
		isListed := slices.ContainsFunc(listed, func(s keyservice.Source) bool { return strings.EqualFold(s.ID, id) })
		if !isListed && !slices.Contains(d.Unknown, id) {
			d.Unknown = append(d.Unknown, id)
		}
	}
	return !slices.ContainsFunc(d.Unknown, func(id string) bool { return !slices.Contains(seen, id) })
}

// UnknownLines returns the unknown sources, one per line.
func (d createForm) UnknownLines() string { return strings.Join(d.Unknown, "\n") }
