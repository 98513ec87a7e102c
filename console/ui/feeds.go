package ui

import (
	"slices"

	"github.com/docsgate/docsgate/console/keyservice"
)

// feedOption is a feed in the filter.
type feedOption struct{ Name, Label string }

// feedOptions returns all feeds, and the selected one even if there is no feed with that name.
func (p *Page) feedOptions(selected string) []feedOption {
	var options []feedOption
	if p.Feeds == nil {
		return options
	}
	names := p.Feeds()
	if selected != "" && !slices.Contains(names, selected) {
		names = append(slices.Clone(names), selected)
	}
	for _, name := range names {
		options = append(options, feedOption{name, keyservice.FeedLabel(name, names)})
	}
	return options
}

// feedLabel returns the name of a feed for people.
func (p *Page) feedLabel(name string) string {
	if p.Feeds == nil {
		return keyservice.FeedLabel(name, nil)
	}
	return keyservice.FeedLabel(name, p.Feeds())
}
