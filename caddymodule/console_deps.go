package caddymodule

import (
	"github.com/docsgate/docsgate/console/keyservice"
)

// keyService is what the page and the API for keys work with; nil if no keys are issued here. gateURL is where clients reach the
// gate, if that is known.
func (a *App) keyService(gateURL string) *keyservice.Service {
	if a.state == nil || a.state.issued == nil {
		return nil
	}
	d := &keyservice.Service{
		Registry: a.state.issued.Registry, Index: a.state.catalog, Store: a.state.store, Usage: a.state.usage,
		Feed: a.state.issued.feed, GateURL: gateURL, TestQuery: a.testQueryFunc(gateURL),
	}
	if a.canListSources() {
		d.Sources = a.listSources
	}
	return d
}

// feedNames are the names of all feeds, to filter by.
func (a *App) feedNames() []string {
	var names []string
	for _, status := range a.state.syncer.Status() {
		names = append(names, status.Name)
	}
	return names
}
