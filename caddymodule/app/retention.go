package app

import (
	"context"
	"errors"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/docsgate/docsgate/keys/registry"
)

// defaultRetention is the default of StoreFeed.DeleteRevokedAfter.
const defaultRetention = 365 * 24 * time.Hour

// retentionArg parses StoreFeed.DeleteRevokedAfter.
func retentionArg(d *caddyfile.Dispenser, to *caddy.Duration) error {
	name, text := d.Val(), ""
	if !d.AllArgs(&text) {
		return d.ArgErr()
	}
	if text == "off" {
		*to = -1
		return nil
	}
	period, err := caddy.ParseDuration(text)
	if err != nil || period < registry.MinRetention {
		return d.Errf("%s must be off, or a duration of at least 1d, such as 90d; got %s", name, text)
	}
	*to = caddy.Duration(period)
	return nil
}

// checkRetention returns an error if StoreFeed.DeleteRevokedAfter is not valid.
func checkRetention(period caddy.Duration) error {
	if period > 0 && time.Duration(period) < registry.MinRetention {
		return errors.New("delete_revoked_after must be at least 1d, or negative")
	}
	return nil
}

// retainRevoked deletes revoked keys in the background, until ctx is canceled.
func (f *StoreFeed) retainRevoked(ctx context.Context) {
	period := time.Duration(f.DeleteRevokedAfter)
	switch {
	case period < 0:
		return
	case period == 0:
		period = defaultRetention
	}
	f.registry.saved.Go(func() { f.registry.RetainRevoked(ctx, period) })
}
