package caddymodule

import (
	"github.com/docsgate/docsgate/console/keyservice"
)

// keyService returns the service that the console and the API use, or nil without the feed store. publicURL is the URL at
// which clients reach the gate, or "".
func (a *App) keyService(publicURL string) *keyservice.Service {
	if a.state == nil || a.state.registry == nil {
		return nil
	}
	service := &keyservice.Service{
		Registry: a.state.registry.Registry, Index: a.state.index, Store: a.state.store, Usage: a.state.usage,
		Feed: a.state.registry.feed, GateURL: publicURL, TestQuery: a.testQueryFunc(publicURL),
	}
	if a.canListSources() {
		service.Sources = a.listSources
	}
	return service
}

// feedNames returns the names of all feeds, for filters.
func (a *App) feedNames() []string {
	var names []string
	for _, status := range a.state.syncer.Status() {
		names = append(names, status.Name)
	}
	return names
}
