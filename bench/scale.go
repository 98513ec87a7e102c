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
	"github.com/docsgate/docsgate/keys/pgstore"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/policy"
)

// The budgets of a store with a million keys. Unlike those of the comparison they are absolute, for any machine that the gate is
// meant for.
var (
	startBudget  = budget{Limit: 10}  // seconds
	memoryBudget = budget{Limit: 700} // bytes per key
	pageBudget   = budget{Limit: 0.1} // seconds
	changeBudget = budget{Limit: 0.05}
)

// scaleReport is the result of a run with a large store. Each round is one process.
type scaleReport struct {
	*report
	Keys   int
	File   int64 // bytes; 0: the store is a database
	Rounds []scaleRound
	Starts []coldStarts `json:",omitempty"`
}

// runScale fills a store and measures a gate's key management with it, in a new process each round.
func runScale(ctx context.Context, o *options, out io.Writer) (err error) {
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
	at := scaleWorkload{Keys: o.keys, URI: o.database}
	if at.URI == "" {
		at.Path = filepath.Join(dir, "keys.db")
	} else {
		if err := removeSchema(ctx, &at); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, removeSchema(context.WithoutCancel(ctx), &at)) }()
	}
	progress("filling a store with %d keys", o.keys)
	workloads, err := fillStore(ctx, at, o)
	if err != nil {
		return err
	}
	r := &scaleReport{report: newReport(o), Keys: o.keys}
	if at.Path != "" {
		info, err := os.Stat(at.Path)
		if err != nil {
			return err
		}
		r.File = info.Size()
	}
	if at.Path != "" {
		if r.Starts, err = measureColdStarts(ctx, o, workloads[0]); err != nil {
			return err
		}
	}
	for n, w := range workloads {
		progress("round %d of %d", n+1, len(workloads))
		round, err := runScaleRound(ctx, o, w)
		if err != nil {
			return err
		}
		r.Rounds = append(r.Rounds, *round)
	}
	r.print(out)
	return saveJSON(r, o.out, "keys.json")
}

// removeSchema removes the store of a database.
func removeSchema(ctx context.Context, at *scaleWorkload) error {
	s, err := pgstore.Open(ctx, pgstore.Options{URI: keys.NewSecret(at.URI), Schema: scaleSchema})
	if err != nil {
		return err
	}
	return errors.Join(s.MigrateTo(ctx, 0), s.Close())
}

// fillStore writes keys that were created over a year, one for each customer: with different names and ids, a thousand sources, a
// third with an expiry, some inactive. Each returned workload has a key that its round can revoke.
func fillStore(ctx context.Context, at scaleWorkload, o *options) (_ []scaleWorkload, err error) {
	const batchSize, sources = 5000, 1000
	storage, err := at.open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, storage.Close()) }()
	workloads := make([]scaleWorkload, o.rounds)
	random := rand.New(rand.NewPCG(1, 1))
	now := time.Now().UTC().Truncate(time.Second)
	for from := 0; from < o.keys; from += batchSize {
		var records []*registry.Record
		var entries []*registry.AuditEntry
		for i := from; i < min(o.keys, from+batchSize); i++ {
			r := &registry.Record{
				ID: registry.NewID(), Name: fmt.Sprintf("Customer %07d", i), Created: now.Add(time.Duration(i-o.keys) * 30 * time.Second),
				Sources: []string{fmt.Sprintf("7d0c0f36-6a0e-4a5e-9a39-%012d", random.IntN(sources))},
			}
			token := keys.NewToken(policy.AnyKind)
			r.Digest, r.Hint, r.Changed = keys.DigestOf(token), keys.Hint(token), r.Created
			switch {
			case i < len(workloads):
				workloads[i] = at
				workloads[i].ID, workloads[i].Token = r.ID, token
			case i%3 == 0:
				r.Expires = now.Add(time.Duration(random.IntN(1000)-200) * time.Hour)
			case i%50 == 7:
				r.State = keys.State(1 + random.IntN(2))
			}
			records = append(records, r)
			entries = append(entries, &registry.AuditEntry{At: r.Created, Actor: "bench", Action: registry.ActionCreated, Key: r.ID, Name: r.Name})
		}
		if err := storage.Write(ctx, records, entries); err != nil {
			return nil, err
		}
	}
	return workloads, nil
}

// runScaleRound runs one round. It measures the startup time from the start of the process.
func runScaleRound(ctx context.Context, o *options, w scaleWorkload) (*scaleRound, error) {
	begin := time.Now()
	c, err := startSubprocess(ctx, roleKeys, fmt.Sprint("GOMAXPROCS=", o.procs))
	if err != nil {
		return nil, err
	}
	defer c.stop()
	if err := json.NewEncoder(c.in).Encode(w); err != nil {
		return nil, fmt.Errorf("sending the workload: %w", err)
	}
	if _, err := c.out.ReadString('\n'); err != nil {
		return nil, fmt.Errorf("waiting for startup: %w", err)
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

// print writes the tables as Markdown.
func (r *scaleReport) print(out io.Writer) {
	where := "a PostgreSQL database"
	if r.File > 0 {
		where = fmt.Sprintf("a file of %.0f MB", float64(r.File)/1e6)
	}
	fmt.Fprintf(out, "\n%d CPUs (%s), %s, GOMAXPROCS %d; %d keys in %s\n\n", r.CPUs, r.CPU, r.Go, r.GOMAXPROCS, r.Keys, where)
	t := &table{out, newTabs(out)}
	t.row("a store of many keys", "median [min max]", "budget", "")
	t.row("---", "---", "---", "---")
	line := func(what string, b budget, format func(float64) string, value func(*scaleRound) float64) {
		all := make([]float64, len(r.Rounds))
		for i := range r.Rounds {
			all[i] = value(&r.Rounds[i])
		}
		s := summarize(all)
		t.row(what, s.text(format), b.text(format), b.verdict(s.median))
	}
	line("startup to the first accepted token", startBudget, seconds, func(s *scaleRound) float64 { return s.Start })
	line("CPU time of the startup", budget{}, seconds, func(s *scaleRound) float64 { return s.StartCPU })
	line("heap per key", memoryBudget, wholeBytes, func(s *scaleRound) float64 { return s.Heap })
	line("resident memory per key", memoryBudget, wholeBytes, func(s *scaleRound) float64 { return s.Resident })
	line("heap per key, after every key was used", memoryBudget, wholeBytes, func(s *scaleRound) float64 { return s.UsedHeap })
	line("resident memory per key, after every key was used", memoryBudget, wholeBytes, func(s *scaleRound) float64 { return s.Used })
	for i, q := range scaleQueries {
		line("page: "+q.name, pageBudget, milliseconds, func(s *scaleRound) float64 { return s.Pages[i] })
	}
	line("revocation until the token is rejected", changeBudget, milliseconds, func(s *scaleRound) float64 { return s.Revoke })
	t.end()
	printColdStarts(out, r.Starts)
}

func seconds(v float64) string      { return fmt.Sprintf("%.1f s", v) }
func milliseconds(v float64) string { return fmt.Sprintf("%.1f ms", v*1000) }
func wholeBytes(v float64) string   { return fmt.Sprintf("%.0f B", v) }
