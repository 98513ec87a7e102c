package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/boltstore"
	"github.com/docsgate/docsgate/keys/registry"
)

// The budgets of a store with a million keys. Other than those of the comparison they are of times, on any machine that
// the gate is meant for.
var (
	startBudget  = budget{Limit: 10}  // seconds
	memoryBudget = budget{Limit: 700} // bytes for each key
	pageBudget   = budget{Limit: 0.1} // seconds
	changeBudget = budget{Limit: 0.05}
)

// scaleReport is the outcome of a run with a large store. Each of its numbers is of one round, that is of one process.
type scaleReport struct {
	*report
	Keys   int
	File   int64 // bytes
	Rounds []scaleRound
}

// showScale fills a store and measures a gate's keys on it, in a fresh process each round.
func showScale(ctx context.Context, o *options, out io.Writer) error {
	dir, err := os.MkdirTemp("", "docsgate-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.out == "" {
		root, err := projectFolder(ctx)
		if err != nil {
			return err
		}
		o.out = filepath.Join(root, ".cache", "bench")
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	path := filepath.Join(dir, "keys.db")
	progress("filling a store with %d keys", o.keys)
	plans, err := fillStore(ctx, path, o)
	if err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	r := &scaleReport{report: newReport(o), Keys: o.keys, File: info.Size()}
	for n, plan := range plans {
		progress("round %d of %d", n+1, len(plans))
		round, err := runScale(ctx, o, plan)
		if err != nil {
			return err
		}
		r.Rounds = append(r.Rounds, *round)
	}
	r.print(out)
	return saveJSON(r, o.out, "keys.json")
}

// fillStore writes the keys as if they had been made over a year, by one customer after the other: names and ids of their
// own, a thousand sources, a third with an expiry, some not active. Each round gets a key of its own, which it revokes.
func fillStore(ctx context.Context, path string, o *options) (_ []scalePlan, err error) {
	const together, sources = 5000, 1000
	storage, err := boltstore.Open(ctx, boltstore.Options{Path: path})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, storage.Close()) }()
	plans := make([]scalePlan, o.rounds)
	random := rand.New(rand.NewPCG(1, 1))
	now := time.Now().UTC().Truncate(time.Second)
	for from := 0; from < o.keys; from += together {
		var records []*registry.Record
		var entries []*registry.Entry
		for i := from; i < min(o.keys, from+together); i++ {
			r := &registry.Record{
				ID: registry.NewID(), Name: fmt.Sprintf("Customer %07d", i), Created: now.Add(time.Duration(i-o.keys) * 30 * time.Second),
				Sources: []string{fmt.Sprintf("7d0c0f36-6a0e-4a5e-9a39-%012d", random.IntN(sources))},
			}
			token := keys.NewToken()
			r.Digest, r.Hint, r.Changed = keys.DigestOf(token), keys.Hint(token), r.Created
			switch {
			case i < len(plans):
				plans[i] = scalePlan{Path: path, Keys: o.keys, ID: r.ID, Token: token}
			case i%3 == 0:
				r.Expires = now.Add(time.Duration(random.IntN(1000)-200) * time.Hour)
			case i%50 == 7:
				r.State = keys.State(1 + random.IntN(2))
			}
			records = append(records, r)
			entries = append(entries, &registry.Entry{At: r.Created, Who: "bench", Action: registry.ActionCreated, Key: r.ID, Name: r.Name})
		}
		if err := storage.Write(ctx, records, entries); err != nil {
			return nil, err
		}
	}
	return plans, nil
}

// runScale is one round. The time to the start is measured from outside.
func runScale(ctx context.Context, o *options, plan scalePlan) (*scaleRound, error) {
	begin := time.Now()
	c, err := startChild(ctx, roleKeys, fmt.Sprint("GOMAXPROCS=", o.procs))
	if err != nil {
		return nil, err
	}
	defer c.stop()
	if err := json.NewEncoder(c.in).Encode(plan); err != nil {
		return nil, fmt.Errorf("giving the process its plan: %w", err)
	}
	if _, err := c.out.ReadString('\n'); err != nil {
		return nil, fmt.Errorf("waiting for the start: %w", err)
	}
	start := time.Since(begin)
	cpu, err := cpuOf(c.cmd.Process.Pid)
	if err != nil {
		return nil, err
	}
	var round scaleRound
	line, err := c.out.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &round)
	}
	round.Start, round.StartCPU = start.Seconds(), cpu
	return &round, err
}

// print writes the tables that people read.
func (r *scaleReport) print(out io.Writer) {
	fmt.Fprintf(out, "\n%d CPUs (%s), %s, GOMAXPROCS %d; %d keys in a file of %.0f MB\n\n",
		r.CPUs, r.CPU, r.Go, r.GOMAXPROCS, r.Keys, float64(r.File)/1e6)
	t := &table{out, newTabs(out)}
	t.row("a store of many keys", "median [lowest highest]", "budget", "")
	t.row("---", "---", "---", "---")
	line := func(what string, b budget, format func(float64) string, value func(*scaleRound) float64) {
		all := make([]float64, len(r.Rounds))
		for i := range r.Rounds {
			all[i] = value(&r.Rounds[i])
		}
		s := spreadOf(all)
		t.row(what, s.text(format), b.text(format), b.verdict(s.median))
	}
	line("start to the first token that is allowed", startBudget, seconds, func(s *scaleRound) float64 { return s.Start })
	line("the CPU time of that", budget{}, seconds, func(s *scaleRound) float64 { return s.StartCPU })
	line("heap for each key", memoryBudget, wholeBytes, func(s *scaleRound) float64 { return s.Heap })
	line("resident memory for each key", memoryBudget, wholeBytes, func(s *scaleRound) float64 { return s.Resident })
	line("the same once every key was used", memoryBudget, wholeBytes, func(s *scaleRound) float64 { return s.Used })
	for i, q := range scaleQueries {
		line("page: "+q.name, pageBudget, milliseconds, func(s *scaleRound) float64 { return s.Pages[i] })
	}
	line("a key is revoked: until it is refused", changeBudget, milliseconds, func(s *scaleRound) float64 { return s.Revoke })
	t.end()
}

func seconds(v float64) string      { return fmt.Sprintf("%.1f s", v) }
func milliseconds(v float64) string { return fmt.Sprintf("%.1f ms", v*1000) }
func wholeBytes(v float64) string   { return fmt.Sprintf("%.0f B", v) }
