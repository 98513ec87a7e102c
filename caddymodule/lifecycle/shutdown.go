package lifecycle

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// DefaultShutdownGrace is the default grace period of requests in flight when the process exits.
const DefaultShutdownGrace = 20 * time.Second

// Times after the grace period: when connections are closed, and when Caddy stops waiting for requests of any handler.
const (
	closeAfter = finalWrite + time.Second
	exitAfter  = closeAfter + 2*time.Second
)

// lateRequests is how long requests are served after the sockets were closed: on connections that were accepted before, and with
// HTTP/2 until the client knows.
const lateRequests = 2 * time.Second

// shutdown holds the timers of the three phases of a shutdown.
type shutdown struct{ drain, end, close *time.Timer }

// Begin starts the shutdown: after delay new requests are rejected, and requests in flight have the grace period.
func (k *Tracker) Begin(delay, grace time.Duration) {
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

// drain rejects new requests from now on, and ends those that wait for their turn.
func (k *Tracker) drain() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.draining = k.shutdown != nil; !k.draining {
		return
	}
	for t := k.first; t != nil; t = t.next {
		if t.waiting {
			k.abortLocked(t, ErrShuttingDown)
		}
	}
}

// endAll ends all requests. Each one sends its client an error, if that is still possible.
func (k *Tracker) endAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for t := k.first; t != nil; t = t.next {
		t.w.final.Store(true)
		k.abortLocked(t, ErrShuttingDown)
		if t.conn != nil && t.http1 {
			_ = t.conn.SetWriteDeadline(time.Now().Add(finalWrite)) // interrupts a blocked write
		}
	}
}

// closeAll closes the connections of the remaining requests. Close may block on the client, hence the goroutines.
func (k *Tracker) closeAll() {
	k.mu.Lock()
	defer k.mu.Unlock()
	for t := k.first; t != nil; t = t.next {
		if t.conn != nil {
			go t.conn.Close()
		}
	}
}

// Shutdown ends all requests in flight after the grace period, as when a Caddy process exits. It returns when they have
// ended, at most some seconds after the grace period. It is for programs that embed Caddy. New requests are rejected until
// another configuration is loaded.
func Shutdown(grace time.Duration) {
	Requests.Begin(0, grace)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(grace + exitAfter); Requests.Len() > 0 && time.Now().Before(deadline); {
		<-tick.C
	}
}

// resume cancels a shutdown, since another configuration starts.
func (k *Tracker) resume(grace time.Duration) {
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

// ShutdownMessage is the text for clients whose requests are rejected or ended because the process exits.
const ShutdownMessage = "The service is being restarted. Please try again in a moment."

// ConfigLifetime is the time in which a configuration is in use. Its context ends when the configuration is unloaded.
type ConfigLifetime struct {
	context.Context //nolint:containedctx // ends when the configuration is unloaded
	end             context.CancelFunc
	http            *caddyhttp.App // nil before start, or without an http app
	grace           time.Duration
	logger          *zap.Logger
	unloading       atomic.Bool
}

// Provision subscribes to the event "stopping", which comes before Caddy waits for requests in flight. The order in which
// apps are stopped is random, and Cleanup comes too late.
func (e *ConfigLifetime) Provision(ctx caddy.Context, grace time.Duration) error {
	e.Context, e.end = context.WithCancel(context.Background())
	e.grace, e.logger = grace, ctx.Logger()
	events, err := ctx.App("events")
	if err != nil {
		return err
	}
	return events.(*caddyevents.App).On("stopping", e)
}

// Start is called when all apps are provisioned.
func (e *ConfigLifetime) Start(ctx caddy.Context) error {
	Requests.resume(e.grace)
	app, err := ctx.AppIfConfigured("http")
	switch {
	case err == nil:
		e.http = app.(*caddyhttp.App)
	case !errors.Is(err, caddy.ErrNotConfigured):
		return err
	}
	return nil
}

// Handle implements caddyevents.Handler. A reload ends the requests that only listen. A process exit ends all requests
// after the grace period; Caddy alone would wait for them forever.
func (e *ConfigLifetime) Handle(context.Context, caddy.Event) error {
	e.unloading.Store(true)
	e.end()
	if !Requests.exiting() {
		if e.http != nil {
			emptyListeners(e.http, false, e.logger)
		}
		return nil
	}
	var delay time.Duration
	grace := e.grace
	if e.http != nil {
		delay = time.Duration(e.http.ShutdownDelay)
		if caddyGrace := time.Duration(e.http.GracePeriod); caddyGrace > 0 {
			grace = min(grace, max(caddyGrace-exitAfter, caddyGrace/2))
		} else {
			e.http.GracePeriod = caddy.Duration(grace + exitAfter)
		}
	}
	e.logger.Info("process is exiting; requests in flight have a grace period", zap.Duration("shutdown_grace", grace))
	late := min(lateRequests, grace)
	Requests.Begin(delay+emptyTime+late, grace-late)
	switch {
	case e.http == nil:
	case delay > emptyTime: // meanwhile Caddy serves new connections
		time.AfterFunc(delay-emptyTime, func() { emptyListeners(e.http, true, e.logger) })
	default:
		emptyListeners(e.http, true, e.logger)
	}
	return nil
}

// BeforeResponse lets the client close its connection after the response if the configuration is being unloaded. The server
// closes all idle connections soon, and would do so while the client sends its next request.
func (e *ConfigLifetime) BeforeResponse(w http.ResponseWriter) {
	if e.unloading.Load() {
		w.Header().Set("Connection", "close")
	}
}

// Cleanup ends the lifetime. It may be called without Provision.
func (e *ConfigLifetime) Cleanup() {
	if e.end != nil {
		e.end()
	}
}
