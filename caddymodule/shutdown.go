package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/docsgate/docsgate/docsgpt"
)

// DefaultShutdownGrace is how long requests in flight go on when the process is to exit.
const DefaultShutdownGrace = 20 * time.Second

// After the grace period: when connections are closed, and when Caddy waits no longer for requests of any handler.
const (
	closeAfter = finalWrite + time.Second
	exitAfter  = closeAfter + 2*time.Second
)

// shutdown is the end of the process: its three moments.
type shutdown struct{ drain, end, close *time.Timer }

// writeHeader begins the end of the process: after delay requests are rejected, those in flight go on for grace.
func (k *tracker) begin(delay, grace time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.shutdown != nil {
		return
	}
	k.shutdown = &shutdown{
		drain: time.AfterFunc(delay, k.drain),
		end:   time.AfterFunc(delay+grace, k.endAll),
		close: time.AfterFunc(delay+grace+closeAfter, k.closeAll),
	}
	k.draining = delay == 0
}

func (k *tracker) drain() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.draining = k.shutdown != nil
}

// endAll ends all requests. Each tells its client, if that can be told.
func (k *tracker) endAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for t := k.first; t != nil; t = t.next {
		t.w.final.Store(true)
		k.abortLocked(t, errShuttingDown)
		if t.conn != nil && t.http1 {
			_ = t.conn.SetWriteDeadline(time.Now().Add(finalWrite)) // a write that is blocked ends
		}
	}
}

// closeAll closes the connections of the requests that are left. Closing may itself wait for the client.
func (k *tracker) closeAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for t := k.first; t != nil; t = t.next {
		if t.conn != nil {
			go t.conn.Close()
		}
	}
}

// Shutdown ends all requests in flight after grace, as the end of a Caddy process does, and returns when they have ended,
// or some seconds later. It is for programs that run Caddy and end it by themselves. Requests are rejected until another
// configuration is loaded.
func Shutdown(grace time.Duration) {
	requests.begin(0, grace)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(grace + exitAfter); !requests.empty() && time.Now().Before(deadline); {
		<-tick.C
	}
}

func (k *tracker) empty() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.first == nil
}

// resume takes the end of the process back: another configuration begins.
func (k *tracker) resume(grace time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.grace = grace
	if k.shutdown != nil && !k.exiting() {
		for _, timer := range []*time.Timer{k.shutdown.drain, k.shutdown.end, k.shutdown.close} {
			timer.Stop()
		}
		k.shutdown, k.draining = nil, false
	}
}

// shuttingDown rejects a request, or ends its response, because the process exits.
var shuttingDown = &apiError{Error: docsgpt.Error{
	Status: http.StatusServiceUnavailable, Code: "shutting_down", RetryAfter: "5",
	Message: "The service is being restarted. Please try again in a moment.",
}}

// ending is what a configuration knows of its end.
type ending struct {
	context.Context //nolint:containedctx // the time in which the configuration is in force
	end             context.CancelFunc
	http            *caddyhttp.App // nil until the start, or where there is none
	grace           time.Duration
	logger          *zap.Logger
}

// provision makes the configuration's end known to its handlers before Caddy waits for their requests. Stop comes in no
// order, and Cleanup afterwards.
func (e *ending) provision(ctx caddy.Context, grace time.Duration) error {
	e.Context, e.end = context.WithCancel(context.Background())
	e.grace, e.logger = grace, ctx.Logger()
	events, err := ctx.App("events")
	if err != nil {
		return err
	}
	return events.(*caddyevents.App).On("stopping", e)
}

// start is called when all apps are provisioned.
func (e *ending) start(ctx caddy.Context) error {
	requests.resume(e.grace)
	app, err := ctx.AppIfConfigured("http")
	switch {
	case err == nil:
		e.http = app.(*caddyhttp.App)
	case !errors.Is(err, caddy.ErrNotConfigured):
		return err
	}
	return nil
}

// Handle implements caddyevents.Handler. A reload ends the requests that only listen. The end of the process ends all,
// after a grace period; Caddy by itself would wait for them forever.
func (e *ending) Handle(context.Context, caddy.Event) error {
	e.end()
	if !requests.exiting() {
		return nil
	}
	var delay time.Duration
	grace := e.grace
	if e.http != nil {
		delay = time.Duration(e.http.ShutdownDelay)
		if own := time.Duration(e.http.GracePeriod); own > 0 {
			grace = min(grace, max(own-exitAfter, own/2))
		} else {
			e.http.GracePeriod = caddy.Duration(grace + exitAfter)
		}
	}
	e.logger.Info("the process is to exit; requests in flight have a grace period", zap.Duration("shutdown_grace", grace))
	requests.begin(delay, grace)
	return nil
}

func (e *ending) cleanup() {
	if e.end != nil {
		e.end()
	}
}
