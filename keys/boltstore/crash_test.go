package boltstore

import (
	"bufio"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/keys/registry"
)

// Each round starts a process that makes more than a thousand writes, and kills it after a random number of them, during
// further writes. All rounds use the same file.
func TestKillLosesNoAcknowledgedWrite(t *testing.T) {
	const rounds = 6
	path := newPath(t)
	acknowledged := make(map[string]int) // number of acknowledged writes by ID
	for round := range rounds {
		cmd := helperProcess(t, "writer", path)
		cmd.Env = append(cmd.Env, fmt.Sprint(fromEnv, "=", round*1000))
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := cmd.StdinPipe(); err != nil { // its end would let the process exit normally
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines, limit := 0, rand.IntN(1500)*min(round, 1) // the first round kills at the first write
		for scan := bufio.NewScanner(out); scan.Scan(); lines++ {
			if lines == limit {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			id, n, ok := strings.Cut(scan.Text(), " ")
			writes, err := strconv.Atoi(n)
			if !ok || err != nil {
				continue // a truncated line
			}
			acknowledged[id] = max(acknowledged[id], writes)
		}
		if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
			t.Fatalf("round %d: the process must be killed after %d of %d lines: %v", round, limit, lines, cmd.ProcessState)
		}
		s, err := Open(t.Context(), Options{Path: path})
		if err != nil {
			t.Fatalf("round %d, killed after %d writes: %v", round, lines, err)
		}
		found := checkConsistency(t, s)
		for id, n := range maps.All(acknowledged) {
			if found[id] < n {
				t.Errorf("round %d: key %s: %d writes were acknowledged, %d are stored", round, id, n, found[id])
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(acknowledged) < rounds {
		t.Errorf("only %d keys were created: the kills are too early for a meaningful test", len(acknowledged))
	}
}

// checkConsistency reports inconsistencies between the parts of a store that helperProcessWriter has written, and returns the
// number of stored writes of each record.
func checkConsistency(t *testing.T, s *Store) map[string]int {
	t.Helper()
	ctx := t.Context()
	writes, revisions := make(map[string]int), make(map[string]uint64)
	newest, err := s.All(ctx, func(r *registry.Record) error {
		n, err := strconv.Atoi(r.Chunks)
		if err != nil || len(r.PreviousTokens) != n-1 {
			t.Errorf("key %s mixes two writes", r.ID)
		}
		writes[r.ID], revisions[r.ID] = n, r.Revision
		for d := range r.Digests() {
			if found, err := s.ByDigest(ctx, d); err != nil || found.ID != r.ID {
				t.Errorf("key %s is not found by its token: %v", r.ID, err)
			}
		}
		entries, err := s.Audit(ctx, r.ID, 0, 100)
		if err != nil || len(entries) != n {
			t.Errorf("key %s was written %d times and has %d entries: %v", r.ID, n, len(entries), err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	last, changed := uint64(0), 0
	if _, err := s.Changes(ctx, 0, func(r *registry.Record) error {
		if changed++; r.Revision <= last || r.Revision > newest || revisions[r.ID] != r.Revision {
			t.Errorf("key %s has revision %d after %d, of %d", r.ID, r.Revision, last, newest)
		}
		last = r.Revision
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if changed != len(writes) {
		t.Errorf("%d records and %d changes", len(writes), changed)
	}
	total := 0
	for _, n := range writes {
		total += n
	}
	entries, err := s.Audit(ctx, "", 0, total+1000)
	if err != nil || len(entries) != total {
		t.Errorf("%d writes and %d entries: %v", total, len(entries), err)
	}
	for i, e := range entries {
		if e.Seq != uint64(total-i) {
			t.Errorf("entry %d has sequence %d", total-i, e.Seq)
		}
	}
	return writes
}
