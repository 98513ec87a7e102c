package admin

import (
	"context"
	"time"

	"github.com/docsgate/docsgate/caddymodule/app"
	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys/quota"
)

// newKeyService returns the service that the console and the API use. The app must have the feed store. publicURL is the URL
// at which clients reach the gate, or "".
func newKeyService(a *app.App, publicURL string) *keyservice.Service {
	state := a.State()
	service := &keyservice.Service{
		Registry: state.Registry(), Index: state.Index, Store: state.Store, Usage: state.Usage, Activity: state.Activity,
		Feed: state.RegistryFeed(), GateURL: publicURL,
		NoCredential: a.Credential().IsZero(),
	}
	service.TestQuery, service.RemoteGate = testQueryFunc(a.Forwarders(), publicURL)
	calendar := a.QuotaCalendar()
	service.Quota = func(id string) (quota.Use, bool) { return app.Quotas.Use(calendar.At(time.Now()), id) }
	if forwarders := a.Forwarders(); len(forwarders) > 0 && canListSources(a.Version(), a.Credential()) {
		up, version, credential := forwarders[0].Upstream, a.Version(), a.Credential()
		service.Sources = func(ctx context.Context) ([]keyservice.Source, error) {
			return listSources(ctx, up, version, credential)
		}
	}
	return service
}
