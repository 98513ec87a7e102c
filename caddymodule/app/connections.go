package app

import (
	"context"

	"github.com/docsgate/docsgate/keys/docsgptkeys"
	"github.com/docsgate/docsgate/sharedlimits"
)

// Connections returns the database connections of feeds by feed name, or nil if there are none. It must be called after
// provisioning. It is for the command doctor.
func (b *Backend) Connections() map[string]docsgptkeys.Connection {
	if b.state == nil {
		return nil
	}
	var all map[string]docsgptkeys.Connection
	for _, feed := range b.state.feeds {
		c, ok := feed.(connected)
		if !ok {
			continue
		}
		if all == nil {
			all = map[string]docsgptkeys.Connection{}
		}
		all[feed.Name()] = c.Connection()
	}
	if b.storeFeed != nil && b.storeFeed.location.database != nil {
		if all == nil {
			all = map[string]docsgptkeys.Connection{}
		}
		all[b.storeFeed.location.name] = b.storeFeed.location.connection
	}
	return all
}

// SharedLimitsServer is the server of the option shared_limits.
type SharedLimitsServer struct {
	Connection docsgptkeys.Connection
	// Check returns an error unless limits can be shared through the server. It may be called after the configuration has ended.
	Check func(context.Context) error
}

// SharedLimitsServer returns the server of the option shared_limits, or nil without it. It must be called after provisioning. It is for the
// command doctor.
func (a *App) SharedLimitsServer() *SharedLimitsServer {
	if a.SharedLimits == nil {
		return nil
	}
	options := a.SharedLimits.options
	return &SharedLimitsServer{options.Address.Connection, func(ctx context.Context) error { return sharedlimits.Check(ctx, options) }}
}

// PrivilegeChecks returns functions that read what the database users of feeds may do beyond reading, by feed name. They may be
// called after the configuration has ended. PrivilegeChecks must be called after provisioning. It is for the command doctor.
func (b *Backend) PrivilegeChecks() map[string]func(context.Context) (docsgptkeys.Privileges, error) {
	if b.state == nil {
		return nil
	}
	checks := map[string]func(context.Context) (docsgptkeys.Privileges, error){}
	for _, feed := range b.state.feeds {
		if f, ok := feed.(interface {
			Privileges(ctx context.Context) (docsgptkeys.Privileges, error)
		}); ok {
			checks[feed.Name()] = f.Privileges
		}
	}
	return checks
}
