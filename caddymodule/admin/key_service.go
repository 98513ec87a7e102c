package admin

import (
	"context"
	"time"

	"github.com/docsgate/docsgate/caddymodule/app"
	"github.com/docsgate/docsgate/console/keyservice"
	"github.com/docsgate/docsgate/keys/quota"
)

// newKeyService returns the service that the console and the API use. The backend must have the feed store. publicURL is the URL
// at which clients reach the gate, or "".
func newKeyService(b *app.Backend, publicURL string) *keyservice.Service {
	state := b.State()
	service := &keyservice.Service{
		Registry: state.Registry(), Index: state.Index, Store: state.Store, Usage: state.Usage, Activity: state.Activity, History: state.History(),
		Feed: state.RegistryFeed(), GateURL: publicURL,
		NoCredential: b.Credential().IsZero(), RotateIDSecret: b.RotateIDSecret,
	}
	if b.TokenPrice != nil {
		service.TokenPrice = *b.TokenPrice
	}
	service.Health = func(ctx context.Context) []keyservice.Health { return upstreamHealth(b.Health(ctx)) }
	service.TestQuery, service.RemoteGate = testQueryFunc(b.Forwarders(), publicURL)
	calendar := b.QuotaCalendar()
	service.Quota = func(id string) (quota.Use, bool) { return b.Counters().Quotas.Use(calendar.At(time.Now()), id) }
	if forwarders := b.Forwarders(); len(forwarders) > 0 && canListSources(b.Version(), b.Credential()) {
		up, version, credential := forwarders[0].Upstream, b.Version(), b.Credential()
		service.Sources = func(ctx context.Context) ([]keyservice.Source, error) {
			return listSources(ctx, up, version, credential)
		}
	}
	return service
}

// upstreamHealth returns the state of each upstream in the checks of a backend.
func upstreamHealth(checks []app.HealthCheck) (found []keyservice.Health) {
	for _, c := range checks {
		if c.Check != app.CheckUpstream && (c.Check != app.CheckQueue || c.State == app.HealthOK) {
			continue
		}
		h := keyservice.Health{Address: c.Upstream, Known: c.State != app.HealthUnknown}
		if c.State == app.HealthFailed {
			h.Reason = c.Reason
		}
		if c.Since != nil {
			h.Since = *c.Since
		}
		found = append(found, h)
	}
	return found
}
