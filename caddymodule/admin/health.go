package admin

import (
	"encoding/json"
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/docsgate/docsgate/caddymodule/app"
	"github.com/docsgate/docsgate/internal/buildinfo"
	"github.com/docsgate/docsgate/keys"
)

// Values of health.
const (
	statusReady    = "ready"
	statusNotReady = "not_ready"
	errNotLoaded   = "not all feeds have loaded their keys"
)

// health is the response of the probes. It contains no secret.
type health struct {
	Status  string       `json:"status"` // "ok", "ready" or "not_ready"
	Version string       `json:"version"`
	Reason  string       `json:"reason,omitempty"` // why the gate is not ready
	Feeds   []feedHealth `json:"feeds,omitempty"`
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
	if err != nil {
		return writeHealth(w, r, notReady("docsgate is not configured in this Caddy"))
	}
	result := health{Status: statusReady, Version: buildinfo.Version()}
	for _, b := range docsgate.(*app.App).AllBackends() {
		one := readinessOf(b)
		if one.Status == statusNotReady && result.Status == statusReady {
			result.Status, result.Reason = one.Status, one.Reason
		}
		result.Feeds = append(result.Feeds, one.Feeds...)
	}
	return writeHealth(w, r, result)
}

// readinessOf returns the response for one backend.
func readinessOf(b *app.Backend) health {
	result := notReady("the version of DocsGPT is not known yet")
	if state := b.State(); state != nil {
		result = readiness(state.Store.Ready(), state.Syncer.Status())
	}
	if b.Name() == "" {
		return result
	}
	if result.Reason != "" {
		result.Reason = "backend " + b.Name() + ": " + result.Reason
	}
	for i := range result.Feeds {
		result.Feeds[i].Backend = b.Name()
	}
	return result
}

func notReady(reason string) health {
	return health{Status: statusNotReady, Version: buildinfo.Version(), Reason: reason}
}

// readiness returns the response for a store, whose feeds have the given states. The store itself becomes ready when a database was
// unavailable from the beginning, to accept the keys of other feeds; but then the gate can't decide on unknown tokens.
func readiness(storeReady bool, feeds []keys.FeedStatus) health {
	result := health{Status: statusReady, Version: buildinfo.Version()}
	if !storeReady {
		result = notReady(errNotLoaded)
	}
	for _, feed := range feeds {
		f := feedHealth{Feed: feed.Name, Ready: !feed.LastSuccess.IsZero() && !feed.TooStale, Keys: feed.Keys, Error: feed.LastError}
		switch {
		case f.Ready:
		case feed.TooStale:
			result.Status, result.Reason = statusNotReady, "a database has been unavailable for longer than max_stale"
		default:
			result.Status, result.Reason = statusNotReady, errNotLoaded
		}
		result.Feeds = append(result.Feeds, f)
	}
	return result
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
