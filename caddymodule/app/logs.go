package app

import (
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/docsgate/docsgate/caddymodule/logencoder"
	"github.com/docsgate/docsgate/internal/caddyroutes"
	"github.com/docsgate/docsgate/keys"
)

// HasToken implements redact.Keys.
func (s *State) HasToken(token string) bool { return s.Store.Lookup(keys.DigestOf(token)) != nil }

// HasID implements redact.Keys.
func (s *State) HasID(id string) bool { return s.Store.Get(id) != nil }

// Loggers that log requests of any site: errors, panics in handlers, and, at the level DEBUG, handlers.
var requestLoggers = []string{"http.log.error", "http.stdlib", "http.handlers"}

const accessLogger = "http.log.access"

// warnOfLogs logs which loggers that log requests of the gate write to a log without the encoder docsgate.
func (a *App) warnOfLogs() {
	module, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return // without an HTTP app there are no requests
	}
	loggers := map[string]bool{}
	for _, server := range module.(*caddyhttp.App).Servers {
		w := gateFinder{server: server, visited: map[*caddyhttp.Route]bool{}}
		if !w.inRoutes(server.Routes) && (server.Errors == nil || !w.inRoutes(server.Errors.Routes)) {
			continue
		}
		for _, name := range requestLoggers {
			loggers[name] = true
		}
		for _, name := range accessLoggers(server.Logs) {
			loggers[name] = true
		}
	}
	var uncovered []string
	for _, name := range slices.Sorted(maps.Keys(loggers)) {
		if !logencoder.Covers(a.ctx.Logger(loggerModule(name))) {
			uncovered = append(uncovered, name)
		}
	}
	if len(uncovered) > 0 {
		a.logger.Warn("requests are logged without the encoder docsgate, so the logs may contain the tokens of clients",
			zap.Strings("loggers", uncovered),
			zap.String("fix", "add format docsgate to the log default in the global options, and to the log of each site"))
	}
}

// accessLoggers returns the names of the access loggers of a server.
func accessLoggers(logs *caddyhttp.ServerLogConfig) []string {
	if logs == nil {
		return nil
	}
	var names []string
	if !logs.SkipUnmappedHosts {
		names = append(names, loggerName(logs.DefaultLoggerName))
	}
	for _, list := range logs.LoggerNames {
		for _, name := range list {
			names = append(names, loggerName(name))
		}
	}
	return names
}

func loggerName(name string) string {
	if name == "" {
		return accessLogger
	}
	return accessLogger + "." + name
}

// loggerModule is a module with the name of a logger as its ID, so that Caddy returns the logger with the logs that get its
// entries.
type loggerModule string

// CaddyModule returns the Caddy module information.
func (m loggerModule) CaddyModule() caddy.ModuleInfo {
	// Caddy also includes the logs of all loggers whose names begin with the ID. No name begins with this one.
	return caddy.ModuleInfo{ID: caddy.ModuleID(m + ".-")}
}

// gateFinder finds the handler of the gate in the routes of a server.
type gateFinder struct {
	server  *caddyhttp.Server
	visited map[*caddyhttp.Route]bool // named routes, which may invoke each other
}

func (w *gateFinder) inRoutes(list caddyhttp.RouteList) bool {
	for i := range list {
		if w.inRoute(&list[i]) {
			return true
		}
	}
	return false
}

func (w *gateFinder) inRoute(route *caddyhttp.Route) bool {
	return slices.ContainsFunc(route.Handlers, func(handler caddyhttp.MiddlewareHandler) bool {
		if m, ok := handler.(caddy.Module); ok && m.CaddyModule().ID == "http.handlers.docsgate" { // package gateway imports this one
			return true
		}
		nested := caddyroutes.Of(handler, w.server.NamedRoutes)
		if w.inRoutes(nested.Routes) || slices.ContainsFunc(nested.Conditional, w.inRoutes) {
			return true
		}
		if nested.Named == nil || w.visited[nested.Named] {
			return false
		}
		w.visited[nested.Named] = true
		return w.inRoute(nested.Named)
	})
}
