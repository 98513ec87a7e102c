package caddymodule_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/docsgate/docsgate/caddymodule"
)

// readiness is the response of /docsgate/ready.
type readiness struct {
	code           int
	Status, Reason string
	Checks         []struct {
		Check, Upstream, State, Reason string
		Queue                          *struct {
			InFlight       int `json:"in_flight"`
			MaxInFlight    int `json:"max_in_flight"`
			Waiting, Queue int
		}
	}
}

// state returns the state and the reason of a check.
func (r readiness) state(t *testing.T, check string) (state, reason string) {
	t.Helper()
	for _, c := range r.Checks {
		if c.Check == check {
			return c.State, c.Reason
		}
	}
	t.Fatalf("the check %s is missing: %+v", check, r)
	return "", ""
}

// ready asks the running gate as Caddy's admin endpoint does.
func (g *gate) ready() readiness {
	g.t.Helper()
	info, err := caddy.GetModule("admin.api.docsgate")
	if err != nil {
		g.t.Fatal(err)
	}
	for _, route := range info.New().(caddy.AdminRouter).Routes() {
		if route.Pattern != "/docsgate/ready" {
			continue
		}
		w := httptest.NewRecorder()
		request := httptest.NewRequestWithContext(g.t.Context(), http.MethodGet, route.Pattern, http.NoBody)
		if err := route.Handler.ServeHTTP(w, request); err != nil {
			g.t.Fatal(err)
		}
		r := readiness{code: w.Code}
		if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil {
			g.t.Fatal(err)
		}
		assertNoSecrets(g.t, "the probe", w.Body.String())
		return r
	}
	g.t.Fatal(errors.New("there is no route"))
	return readiness{}
}

// wantReady checks the status of the gate and of a check.
func (g *gate) wantReady(code int, status, check, state, reason string) readiness {
	g.t.Helper()
	r := g.ready()
	if r.code != code || r.Status != status {
		g.t.Errorf("got %d %s (%s), want %d %s", r.code, r.Status, r.Reason, code, status)
	}
	if got, why := r.state(g.t, check); got != state || !strings.Contains(why, reason) {
		g.t.Errorf("%s: got %s (%s), want %s (%s)", check, got, why, state, reason)
	}
	return r
}

// A DocsGPT that is down is reported: by a check with the built-in upstream, and by failed requests with the next handler.
func TestReadyReportsUpstream(t *testing.T) {
	var down atomic.Bool
	upstream := func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		writeParts(w, "text/event-stream", 0, widgetAnswer, widgetEnd)
	}
	eachForwarding(t, "", upstream, func(t *testing.T, g *gate) {
		down.Store(false)
		if strings.HasSuffix(t.Name(), "built-in") {
			g.wantReady(http.StatusOK, "ready", "upstream", "ok", "")
		} else {
			g.wantReady(http.StatusOK, "ready", "upstream", "unknown", "only the next handler can reach DocsGPT")
		}
		down.Store(true)
		g.ask("/stream", tokenAgent, "q", "")
		waitFor(t, "the failure is known", func() bool { state, _ := g.ready().state(t, "upstream"); return state == "failed" })
		g.wantReady(http.StatusOK, "degraded", "upstream", "failed", "DocsGPT does not respond: it responds with status 503")
		g.wantReady(http.StatusOK, "degraded", "feeds", "ok", "")
		down.Store(false)
		g.ask("/stream", tokenAgent, "q", "")
		g.wantReady(http.StatusOK, "ready", "upstream", "ok", "")
	})
}

func TestReadyRequiresUpstream(t *testing.T) {
	g := newGate(t)
	g.global = "ready_requires upstream"
	upstream := httptest.NewServer(http.NotFoundHandler())
	defer upstream.Close()
	g.start("docsgate " + strings.TrimPrefix(upstream.URL, "http://") + "\n")
	g.wantReady(http.StatusOK, "ready", "upstream", "ok", "") // any response counts
	upstream.Close()
	g.ask("/stream", tokenAgent, "q", "")
	waitFor(t, "the gate is not ready", func() bool { return g.ready().code == http.StatusServiceUnavailable })
	g.wantReady(http.StatusServiceUnavailable, "not_ready", "upstream", "failed", "DocsGPT does not respond: the upstream cannot be reached")
}

func TestReadyReportsFullQueue(t *testing.T) {
	for require, want := range map[string]struct {
		code   int
		status string
	}{
		"":                     {http.StatusOK, "degraded"},
		"ready_requires queue": {http.StatusServiceUnavailable, "not_ready"},
	} {
		t.Run(require, func(t *testing.T) {
			g := newGate(t)
			g.global = require
			h := newHoldingUpstream(t, g)
			g.start("docsgate " + g.address + " {\n" + queueSite + "queue 1\n}\n")
			first := g.sendLater("/stream", policyQuestion("hold"))
			waitFor(t, "one is in flight", func() bool { return caddymodule.InFlight(h.URL)["answer"].InFlight == 1 })
			g.wantReady(http.StatusOK, "ready", "queue", "ok", "")
			second := g.sendLater("/stream", policyQuestion("hold"))
			h.waitForQueue(t, true, 1)
			r := g.wantReady(want.code, want.status, "queue", "failed", "the queue is full")
			for _, c := range r.Checks {
				if q := c.Queue; c.Check == "queue" && (q == nil || q.InFlight != 1 || q.MaxInFlight != 1 || q.Waiting != 1 || q.Queue != 1) {
					t.Errorf("got the numbers %+v", q)
				}
			}
			h.finish <- struct{}{}
			h.finish <- struct{}{}
			<-first.done
			<-second.done
			g.wantReady(http.StatusOK, "ready", "queue", "ok", "")
		})
	}
}

// A gate that is shutting down rejects requests, so it is not ready.
func TestReadyWhileShuttingDown(t *testing.T) {
	g := newGate(t)
	g.start("docsgate " + g.address + "\n")
	g.wantReady(http.StatusOK, "ready", "process", "ok", "")
	caddymodule.Exiting(t)
	caddymodule.EndRequests(0)
	g.wantReady(http.StatusServiceUnavailable, "not_ready", "process", "failed", "the process is shutting down")
}
