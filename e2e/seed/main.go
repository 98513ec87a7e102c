// Command seed writes a key store as a team might have it after some months: keys that were made, rotated and revoked in
// the past, with an audit trail, and with requests in the last 24 hours. A running gate could not be made to look so.
//
// The keys are read as JSON from standard input, the oldest first:
//
//	{"path": "keys.db", "keys": [{"name": "...", "sources": ["<id>"], "agent": "{env.NAME}", "days": 90,
//	  "expires_days": -3, "begins_days": 0, "peak": 40, "by": "alice", "then": ["rotate", "disable", "revoke"]}]}
//
// days is how long ago the key was made; expires_days and begins_days are from now on, 0 for never; peak is about how many
// requests its busiest hour had.
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
)

const day = 24 * time.Hour

type wanted struct {
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
	var w wanted
	if err := json.NewDecoder(os.Stdin).Decode(&w); err != nil {
		return fmt.Errorf("reading the keys from standard input: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(w.Path), 0o700); err != nil {
		return err
	}
	storage, err := boltstore.Open(ctx, boltstore.Options{Path: w.Path})
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
	defer func() { err = errors.Join(err, r.Close()) }() // saves the use
	// The gate will resolve references by itself.
	r.SetRules(registry.Rules{Resolve: func(string) (string, error) { return "known-to-the-gate", nil }})
	for _, k := range w.Keys {
		at = now.Add(-k.Days * day)
		if err := k.live(ctx, r, meter, now, &at); err != nil {
			return fmt.Errorf("%s: %w", k.Name, err)
		}
	}
	return nil
}

// live makes a key and does with it what is wanted, each thing half of the rest of the time later.
func (k *key) live(ctx context.Context, r *registry.Registry, meter *usage.Meter, now time.Time, at *time.Time) error {
	by := registry.Actor{Who: k.By, From: "192.0.2.7"}
	d := registry.Draft{Name: k.Name, Sources: k.Sources, Agent: k.Agent}
	if k.Expires != 0 {
		d.Expires = now.Add(k.Expires * day)
	}
	if k.Begins != 0 {
		d.NotBefore = now.Add(k.Begins * day)
	}
	made, err := r.Create(ctx, by, d)
	if err != nil {
		return err
	}
	id := made.Record.ID
	for _, step := range k.Then {
		*at = at.Add(now.Sub(*at) / 2)
		switch step {
		case "rotate":
			*at = now.Add(-5 * time.Hour)
			_, err = r.Rotate(ctx, by, id, 7*day)
			meter.Count(id, true, now.Add(-20*time.Minute))
		case "disable":
			state := keys.Disabled
			_, err = r.Change(ctx, by, id, registry.Edit{State: &state})
		case "revoke":
			_, err = r.Revoke(ctx, by, id)
		default:
			err = fmt.Errorf("nothing is known of %q", step)
		}
		if err != nil {
			return err
		}
	}
	for back := range usage.Hours {
		// Busiest nine hours ago, whenever that is, so that pictures of it look alike at any time of the day.
		hour := now.Add(-time.Duration(back) * time.Hour)
		uneven := 1 - 0.3*math.Sin(float64(back*back)+k.Peak)*math.Sin(float64(back)+k.Peak)
		for range int(k.Peak * uneven * (math.Exp(-math.Pow(float64(back)-9, 2)/24) + 0.06)) {
			meter.Count(id, false, hour)
		}
	}
	return nil
}
