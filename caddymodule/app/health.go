package app

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/docsgate/docsgate/caddymodule/lifecycle"
)

// HealthState is the state of a check.
type HealthState string

// States of checks, from good to bad.
const (
	HealthOK       HealthState = "ok"
	HealthUnknown  HealthState = "unknown"  // nothing is known, for example of an upstream that only the next handler knows
	HealthDegraded HealthState = "degraded" // the gate still decides on every request that it can know
	HealthFailed   HealthState = "failed"
)

var healthOrder = []HealthState{HealthOK, HealthUnknown, HealthDegraded, HealthFailed}

// Names of checks.
const (
	CheckProcess  = "process"
	CheckFeeds    = "feeds"
	CheckStore    = "store"
	CheckQueue    = "queue"
	CheckUpstream = "upstream"
)

// HealthCheck is the result of a check. It contains no secret.
type HealthCheck struct {
	Check    string       `json:"check"`
	Backend  string       `json:"backend,omitempty"`
	Upstream string       `json:"upstream,omitempty"` // address; empty: the next handler knows it, or the check is not about one
	State    HealthState  `json:"state"`
	Reason   string       `json:"reason,omitempty"` // why the state is not ok
	Since    *time.Time   `json:"since,omitempty"`
	Queue    *QueueHealth `json:"queue,omitempty"`
}

// QueueHealth is the state of the queue for answers.
type QueueHealth struct {
	InFlight    int `json:"in_flight"`
	MaxInFlight int `json:"max_in_flight"`
	Waiting     int `json:"waiting"`
	Queue       int `json:"queue"` // the largest number of waiting requests
}

// optionalChecks are the checks that ReadyRequires may name.
var optionalChecks = []string{CheckUpstream, CheckQueue}

// checkReadyRequires validates ReadyRequires.
func checkReadyRequires(names []string) error {
	for i, name := range names {
		if !slices.Contains(optionalChecks, name) {
			return fmt.Errorf("ready_requires: unknown check %q: must be upstream or queue", name)
		}
		if slices.Contains(names[:i], name) {
			return fmt.Errorf("ready_requires: %s is specified twice", name)
		}
	}
	return nil
}

// OnHealth adds a function that checks a handler. It must be called while the configuration is provisioned.
func (b *Backend) OnHealth(check func(ctx context.Context) []HealthCheck) {
	b.healthChecks = append(b.healthChecks, check)
}

// IsRequired reports whether the gate is not ready if a check fails. Without its keys it never is.
func (a *App) IsRequired(check string) bool {
	return !slices.Contains(optionalChecks, check) || slices.Contains(a.ReadyRequires, check)
}

// Health returns the checks of the backend. Of several handlers with the same upstream it returns the worst.
func (b *Backend) Health(ctx context.Context) []HealthCheck {
	var all []HealthCheck
	if b.state == nil {
		all = append(all, HealthCheck{Check: CheckFeeds, State: HealthFailed, Reason: "the version of DocsGPT is not known yet"})
	} else {
		all = append(all, b.state.feedsHealth())
		if store := b.state.storeHealth(); store != nil {
			all = append(all, *store)
		}
	}
	for _, check := range b.healthChecks {
		for _, found := range check(ctx) {
			all = addHealth(all, found)
		}
	}
	for i := range all {
		all[i].Backend = b.name
	}
	return all
}

// addHealth adds a check, or replaces a better one of the same upstream.
func addHealth(all []HealthCheck, c HealthCheck) []HealthCheck {
	for i := range all {
		if all[i].Check == c.Check && all[i].Upstream == c.Upstream {
			if slices.Index(healthOrder, c.State) > slices.Index(healthOrder, all[i].State) {
				all[i] = c
			}
			return all
		}
	}
	return append(all, c)
}

// ProcessHealth returns the check of the process. Once it is shutting down, it rejects new requests.
func ProcessHealth() HealthCheck {
	if lifecycle.Requests.IsDraining() {
		return HealthCheck{Check: CheckProcess, State: HealthFailed, Reason: "the process is shutting down"}
	}
	return HealthCheck{Check: CheckProcess, State: HealthOK}
}

// feedsHealth returns the check of the feeds. The store of keys becomes ready when a database was unavailable from the beginning, to accept
// the keys of other feeds; but then the gate can't decide on unknown tokens.
func (s *State) feedsHealth() HealthCheck {
	const notLoaded = "not all feeds have loaded their keys"
	c := HealthCheck{Check: CheckFeeds, State: HealthOK}
	if !s.Store.Ready() {
		c.State, c.Reason = HealthFailed, notLoaded
	}
	for _, feed := range s.Syncer.Status() {
		switch {
		case feed.TooStale:
			c.State, c.Reason = HealthFailed, "a database has been unavailable for longer than max_stale"
		case feed.LastSuccess.IsZero():
			c.State, c.Reason = HealthFailed, notLoaded
		case feed.LastError != "" && c.State == HealthOK:
			c.State, c.Reason = HealthDegraded, "the last load of a feed has failed; its previous keys stay in use"
		}
	}
	return c
}

// storeHealth returns the check of the key store, or nil without one.
func (s *State) storeHealth() *HealthCheck {
	if s.registry == nil {
		return nil
	}
	c := &HealthCheck{Check: CheckStore, State: HealthOK}
	for _, feed := range s.Syncer.Status() {
		switch {
		case feed.Name != s.registry.feed || feed.LastError == "" && !feed.TooStale && !feed.LastSuccess.IsZero():
		case feed.TooStale || feed.LastSuccess.IsZero():
			c.State, c.Reason = HealthFailed, "the keys of the key store are not loaded"
		default:
			c.State, c.Reason = HealthDegraded, "the key store cannot be read; the keys that were loaded stay in use"
		}
	}
	if c.State == HealthOK && s.registry.writes.failed.Load() {
		c.State, c.Reason = HealthDegraded, "the last change of a key could not be stored"
	}
	return c
}
