package admin

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// Caddy's admin endpoint accepts requests before the first configuration is active. Until then it is not known whether docsgate is
// configured, and loading a large key store takes seconds.
const (
	startWait  = 10 * time.Second // for the first configuration
	startCheck = 20 * time.Millisecond
)

var errStarting = caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: errors.New("the gate is still starting: try again")}

// isStarting reports whether the process has no configuration yet.
func isStarting() bool { return caddy.ActiveContext().Context == nil && !caddy.Exiting() }

// awaitConfig waits until the process has a configuration. It returns errStarting after startWait.
func awaitConfig(ctx context.Context) error {
	if !isStarting() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, startWait)
	defer cancel()
	check := time.NewTicker(startCheck)
	defer check.Stop()
	for isStarting() {
		select {
		case <-ctx.Done():
			return errStarting
		case <-check.C:
		}
	}
	return nil
}
