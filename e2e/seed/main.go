// Command seed writes a key store like that of a team after some months: with keys that were created, rotated and revoked in
// the past, an audit trail, requests in the last 24 hours, and usage over time. The API of a running gate cannot create such a history.
//
// The keys are read as JSON from standard input, oldest first:
//
//	{"path": "keys.db", "keys": [{"name": "...", "sources": ["<id>"], "agent": "{env.NAME}", "days": 90,
//	  "expires_days": -3, "begins_days": 0, "peak": 40, "by": "alice", "then": ["rotate", "disable", "revoke"]}]}
//
// days is the age of the key. expires_days and begins_days count from now; 0 means not set. peak is the approximate number of
// requests in the busiest hour. then lists what was done with the key later.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/boltstore"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
	"github.com/docsgate/docsgate/keys/usage/series"
)

const day = 24 * time.Hour

type seed struct {
	Path string `json:"path"`
	Keys []key  `json:"keys"`
}

type key struct {
	Name    string        `json:"name"`
	Sources []string      `json:"sources"`
	Agent   string        `json:"agent"`
	Days    time.Duration `json:"days"`
	Expires time.Duration `json:"expires_days"`
	Begins  time.Duration `json:"begins_days"`
	Peak    float64       `json:"peak"`
	By      string        `json:"by"`
	Then    []string      `json:"then"`
}

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "seed:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	var s seed
	if err := json.NewDecoder(os.Stdin).Decode(&s); err != nil {
		return fmt.Errorf("reading the keys from standard input: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(s.Path), 0o700); err != nil {
		return err
	}
	storage, err := boltstore.Open(ctx, boltstore.Options{Path: s.Path})
	if err != nil {
		return err
	}
	now := time.Now()
	at := now
	meter := usage.NewMeter()
	r, err := registry.New(registry.Options{Storage: storage, Usage: meter, Now: func() time.Time { return at }})
	if err != nil {
		return errors.Join(err, storage.Close())
	}
	defer func() { err = errors.Join(err, r.Close()) }() // saves the usage counters
	history := openHistory(s.Path)
	defer func() { err = errors.Join(err, history.Close()) }() // saves the usage over time
	// References are resolved later, by the gate.
	r.SetRules(registry.Rules{Resolve: func(string) (string, error) { return "known-to-the-gate", nil }})
	for _, k := range s.Keys {
		at = now.Add(-k.Days * day)
		if err := k.write(ctx, r, meter, history, now, &at); err != nil {
			return fmt.Errorf("%s: %w", k.Name, err)
		}
	}
	return nil
}

// write creates a key and applies the steps in Then. Each step halves the time between the previous one and now.
func (k *key) write(
	ctx context.Context, r *registry.Registry, meter *usage.Counter, history *series.History, now time.Time, at *time.Time,
) error {
	by := registry.Actor{Name: k.By, RemoteAddr: "192.0.2.7"}
	d := registry.CreateRequest{Name: k.Name, Sources: k.Sources, Agent: k.Agent}
	if k.Expires != 0 {
		d.Expires = now.Add(k.Expires * day)
	}
	if k.Begins != 0 {
		d.NotBefore = now.Add(k.Begins * day)
	}
	created, err := r.Create(ctx, by, d)
	if err != nil {
		return err
	}
	id := created.Record.ID
	for _, step := range k.Then {
		*at = at.Add(now.Sub(*at) / 2)
		switch step {
		case "rotate":
			*at = now.Add(-5 * time.Hour)
			_, err = r.Rotate(ctx, by, id, 7*day)
			meter.Count(id, true, now.Add(-20*time.Minute))
		case "disable":
			state := keys.Disabled
			_, err = r.Update(ctx, by, id, registry.UpdateRequest{State: &state})
		case "revoke":
			_, err = r.Revoke(ctx, by, id)
		default:
			err = fmt.Errorf("unknown step %q", step)
		}
		if err != nil {
			return err
		}
	}
	k.record(history, id, now)
	for age := range usage.Hours {
		// The busiest hour is always nine hours ago, so screenshots do not depend on the time of day.
		hour := now.Add(-time.Duration(age) * time.Hour)
		noise := 1 - 0.3*math.Sin(float64(age*age)+k.Peak)*math.Sin(float64(age)+k.Peak)
		for range int(k.Peak * noise * (math.Exp(-math.Pow(float64(age)-9, 2)/24) + 0.06)) {
			meter.Count(id, false, hour)
		}
	}
	return nil
}
