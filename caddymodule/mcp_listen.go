package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"

	"github.com/docsgate/docsgate/docsgpt"
)

// listeners ends the streams on which MCP clients listen when their configuration ends. Such a stream has no end of its
// own, and Caddy, which waits for answers that are under way, would wait for it for ever when it is to exit. Its client
// comes again. The zero value ends nothing.
type listeners struct {
	ending context.Context //nolint:containedctx // the time in which the configuration is in force
	end    context.CancelFunc
}

// provision makes the listeners know when the configuration ends. That is before Caddy waits; Cleanup comes after.
func (l *listeners) provision(ctx caddy.Context, groups []string) error {
	if !slices.Contains(groups, string(docsgpt.GroupMCP)) {
		return nil
	}
	events, err := ctx.App("events")
	if err != nil {
		return err
	}
	l.ending, l.end = context.WithCancel(context.Background())
	return events.(*caddyevents.App).On("stopping", l)
}

// Handle implements caddyevents.Handler.
func (l *listeners) Handle(context.Context, caddy.Event) error {
	l.cleanup()
	return nil
}

func (l *listeners) cleanup() {
	if l.end != nil {
		l.end()
	}
}

var errEnding = errors.New("the configuration ends")

// onlyListens tells whether the client waits for nothing in particular: such a stream may be silent for hours, and its
// client comes again when it ends.
func (x *exchange) onlyListens() bool {
	return x.endpoint.Group == docsgpt.GroupMCP && x.endpoint.Method == http.MethodGet
}

// endWithConfiguration makes a request that only listens end with its configuration, as if its client went away. The
// returned function must be called when the request is done.
func (x *exchange) endWithConfiguration() (done func()) {
	ending := x.handler.listeners.ending
	if ending == nil || !x.onlyListens() {
		return func() {}
	}
	ctx, cancel := context.WithCancelCause(x.r.Context())
	stop := context.AfterFunc(ending, func() { cancel(errEnding) })
	x.r = x.r.WithContext(ctx)
	return func() {
		stop()
		cancel(nil)
	}
}
