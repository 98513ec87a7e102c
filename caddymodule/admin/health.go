package admin

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/docsgate/docsgate/caddymodule/app"
	"github.com/docsgate/docsgate/internal/buildinfo"
)

// Values of health.Status.
const (
	statusReady    = "ready"
	statusDegraded = "degraded" // ready, but not everything is well
	statusNotReady = "not_ready"
)

// health is the response of the probes. It contains no secret.
type health struct {
	Status  string            `json:"status"` // "ok", "ready", "degraded" or "not_ready"
	Version string            `json:"version"`
	Reason  string            `json:"reason,omitempty"` // why the gate is not ready, or degraded
	Checks  []app.HealthCheck `json:"checks,omitempty"`
	Feeds   []feedHealth      `json:"feeds,omitempty"`
}

type feedHealth struct {
	Feed    string `json:"feed"`
	Backend string `json:"backend,omitempty"`
	Ready   bool   `json:"ready"`
	Keys    int    `json:"keys"`
	Error   string `json:"error,omitempty"` // of the last load; the keys of a ready feed stay in use
}

// serveLive answers that the process runs.
func serveLive(w http.ResponseWriter, r *http.Request) error {
	return writeHealth(w, r, health{Status: "ok", Version: buildinfo.Version()})
}

// serveReady answers whether the active configuration can decide on every token: each feed has loaded its keys, and no outage of a
// database has lasted longer than max_stale.
func serveReady(w http.ResponseWriter, r *http.Request) error {
	docsgate, err := caddy.ActiveContext().AppIfConfigured("docsgate")
	result := health{Status: statusReady, Version: buildinfo.Version()}
	process := app.ProcessHealth()
	if err != nil && process.State == app.HealthOK { // the configuration of a process that exits is no longer active
		process.State, process.Reason = app.HealthFailed, "docsgate is not configured in this Caddy"
		if isStarting() {
			process.Reason = "the gate is still starting"
		}
	}
	result.add(process, true)
	if err == nil {
		for _, b := range docsgate.(*app.App).AllBackends() {
			result.addBackend(r.Context(), b)
		}
	}
	return writeHealth(w, r, result)
}

// serveBackendReady is serveReady for one backend.
func serveBackendReady(w http.ResponseWriter, r *http.Request, b *app.Backend) error {
	result := health{Status: statusReady, Version: buildinfo.Version()}
	result.add(app.ProcessHealth(), true)
	result.addBackend(r.Context(), b)
	return writeHealth(w, r, result)
}

// addBackend adds the checks and the feeds of a backend.
func (h *health) addBackend(ctx context.Context, b *app.Backend) {
	for _, c := range b.Health(ctx) {
		h.add(c, b.App().IsRequired(c.Check))
	}
	if b.State() == nil {
		return
	}
	for _, feed := range b.State().Syncer.Status() {
		h.Feeds = append(h.Feeds, feedHealth{
			Feed: feed.Name, Backend: b.Name(), Ready: !feed.LastSuccess.IsZero() && !feed.TooStale, Keys: feed.Keys, Error: feed.LastError,
		})
	}
}

// add adds a check. required says that the gate is not ready if it has failed; otherwise the gate is degraded.
func (h *health) add(c app.HealthCheck, required bool) {
	h.Checks = append(h.Checks, c)
	status := statusReady
	switch c.State {
	case app.HealthOK, app.HealthUnknown:
	case app.HealthFailed:
		if status = statusDegraded; required {
			status = statusNotReady
		}
	case app.HealthDegraded:
		status = statusDegraded
	}
	if status == statusReady || h.Status == statusNotReady || status == h.Status {
		return // the first reason of the worst status stays
	}
	h.Status, h.Reason = status, c.Reason
	if c.Backend != "" {
		h.Reason = "backend " + c.Backend + ": " + c.Reason
	}
}

func writeHealth(w http.ResponseWriter, r *http.Request, h health) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if h.Status == statusNotReady {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	if r.Method == http.MethodHead {
		return nil
	}
	return json.NewEncoder(w).Encode(h)
}
