//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// serveRound runs a round in this process.
func serveRound(t *testing.T, w scaleWorkload) (started string, round scaleRound, err error) {
	t.Helper()
	text, err := json.Marshal(w)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := serveKeys(t.Context(), bytes.NewReader(text), &out); err != nil {
		return out.String(), round, err
	}
	started, figures, _ := strings.Cut(out.String(), "\n")
	return started, round, json.Unmarshal([]byte(figures), &round)
}

// A round returns all figures, and an error if its key is rejected.
func TestScaleRound(t *testing.T) {
	o := &options{keys: 1500, rounds: 2}
	workloads, err := fillStore(t.Context(), scaleWorkload{Path: filepath.Join(t.TempDir(), "keys.db"), Keys: o.keys}, o)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range workloads {
		started, round, err := serveRound(t, w)
		if err != nil {
			t.Fatal(err)
		}
		if started != "started" || round.Heap <= 0 || round.Resident <= 0 || round.UsedHeap <= 0 || round.Used <= 0 || round.Revoke <= 0 ||
			len(round.Pages) != len(scaleQueries) {
			t.Errorf("%q, %+v", started, round)
		}
	}
	if started, _, err := serveRound(t, workloads[0]); err == nil || started != "" {
		t.Errorf("with a revoked key: %q, %v", started, err)
	}
}
