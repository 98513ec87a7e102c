package countersync_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys/countersync"
	"github.com/docsgate/docsgate/keys/countersync/countersynctest"
)

// count is the row of a key that is only counted.
type count struct {
	id string
	n  int64
}

func newMemory() *countersynctest.Memory[count] {
	return countersynctest.New(func(c count) string { return c.id },
		func(total, delta count, _ time.Time) count { return count{delta.id, total.n + delta.n} },
		func(c count, _ time.Time) bool { return c.n == 0 })
}

// gate counts keys and syncs the counts.
type gate struct {
	*countersync.Syncer[count]
	deltas map[string]int64
	totals map[string]int64
}

func newGate(s countersync.Storage[count]) *gate {
	g := &gate{deltas: map[string]int64{}, totals: map[string]int64{}}
	g.Syncer = countersync.NewSyncer(s, g.take, g.apply)
	return g
}

func (g *gate) take(limit int) (deltas []count) {
	for id, n := range g.deltas {
		if len(deltas) < limit {
			deltas = append(deltas, count{id, n})
			delete(g.deltas, id)
		}
	}
	return deltas
}

func (g *gate) apply(totals []count) {
	for _, c := range totals {
		g.totals[c.id] = c.n
	}
}

// A call that fails is repeated. Whether it was stored before it failed or not, the totals are exact.
func TestFailures(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	storage := newMemory()
	gates := []*gate{newGate(storage), newGate(storage), newGate(storage)}
	storage.SetFail(func() error {
		if random.IntN(3) == 0 {
			return countersynctest.ErrLost
		}
		return nil
	})
	want, failures := map[string]int64{}, 0
	for range 3000 {
		g := gates[random.IntN(len(gates))]
		id, n := fmt.Sprint(random.IntN(5)), random.Int64N(10)-2
		g.deltas[id] += n
		want[id] += n
		if random.IntN(3) > 0 {
			continue
		}
		if err := g.Sync(t.Context()); err != nil {
			failures++
			if !errors.Is(err, countersynctest.ErrLost) {
				t.Fatal(err)
			}
		}
	}
	storage.SetFail(nil)
	for range 2 { // the second time, each gate reads what the others have added
		for _, g := range gates {
			if err := g.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	for id, n := range want {
		for i, g := range gates {
			if g.totals[id] != n {
				t.Errorf("gate %d has %d of %s, want %d", i, g.totals[id], id, n)
			}
		}
	}
	if failures == 0 {
		t.Error("nothing failed")
	}
}

// More rows than one call takes are added and read by several calls.
func TestManyRows(t *testing.T) {
	const rows = 3*countersync.MaxRows + 1
	storage := newMemory()
	first, second := newGate(storage), newGate(storage)
	for i := range rows {
		first.deltas[fmt.Sprint(i)] = int64(i + 1)
	}
	if err := first.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	loaded := 0
	if err := second.Load(t.Context(), func(totals []count) { loaded += len(totals) }); err != nil {
		t.Fatal(err)
	}
	if len(first.totals) != rows || loaded != rows {
		t.Errorf("%d and %d totals, want %d", len(first.totals), loaded, rows)
	}
}

// After a backup was restored, its totals are read.
func TestOlderStorage(t *testing.T) {
	storage := &replaceable{newMemory()}
	g := newGate(storage)
	for range 3 {
		g.deltas["a"]++
		if err := g.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	storage.Memory = newMemory()
	other := newGate(storage)
	other.deltas["a"] = 1
	if err := other.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := g.Sync(t.Context()); err != nil || g.totals["a"] != 1 {
		t.Errorf("the total is %d, %v, want 1", g.totals["a"], err)
	}
}

type replaceable struct{ *countersynctest.Memory[count] }
