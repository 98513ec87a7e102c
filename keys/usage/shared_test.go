package usage

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys/countersync"
	"github.com/docsgate/docsgate/keys/countersync/countersynctest"
)

type node struct {
	*Counter
	*countersync.Syncer[Row]
}

func newNode(t *testing.T, s countersync.Storage[Row]) *node {
	t.Helper()
	n := &node{Counter: NewMeter()}
	n.Share()
	n.Syncer = countersync.NewSyncer(s, n.TakeDeltas, n.SetTotals)
	if err := n.Load(t.Context(), n.SetTotals); err != nil {
		t.Fatal(err)
	}
	return n
}

func newTotals(at time.Time) *countersynctest.Memory[Row] {
	s := countersynctest.New(func(r Row) string { return r.ID }, Row.AddDelta, nil)
	s.SetNow(at)
	return s
}

func syncAll(t *testing.T, nodes ...*node) {
	t.Helper()
	for range 2 {
		for _, n := range nodes {
			if err := n.Sync(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Several nodes, whose calls of the storage fail before or after they are stored, have counted the same as one node.
func TestSharedEqualsLocal(t *testing.T) {
	for seed := range uint64(10) {
		random := rand.New(rand.NewPCG(seed, 0))
		at := time.Unix(1_800_000_000, 0)
		s, local := newTotals(at), NewMeter()
		nodes := make([]*node, 1+random.IntN(4))
		for i := range nodes {
			nodes[i] = newNode(t, s)
		}
		s.SetFail(func() error {
			if random.IntN(4) == 0 {
				return countersynctest.ErrLost
			}
			return nil
		})
		for range 1000 {
			n := nodes[random.IntN(len(nodes))]
			switch op := random.IntN(20); {
			case op < 17:
				id, old := fmt.Sprint(random.IntN(3)), random.IntN(4) == 0
				for range 1 + random.IntN(100) {
					n.Count(id, old, at)
					local.Count(id, old, at)
				}
			case op < 19:
				_ = n.Sync(t.Context())
			default:
				at = at.Add(time.Duration(random.IntN(5*60)) * time.Minute)
				s.SetNow(at)
			}
		}
		s.SetFail(nil)
		syncAll(t, nodes...)
		for id := range 3 {
			id := fmt.Sprint(id)
			for i, n := range append(nodes, newNode(t, s)) {
				if got, want := n.Get(id, at), local.Get(id, at); got != want {
					t.Fatalf("seed %d: node %d of %d has\n%+v of key %s, want\n%+v", seed, i, len(nodes), got, id, want)
				}
				if got, want := n.LastUsed(id), local.LastUsed(id); got != want {
					t.Errorf("seed %d: node %d: key %s was last used in minute %d, want %d", seed, i, id, got, want)
				}
			}
		}
	}
}

// Each of many concurrent counts is in one delta.
func TestConcurrentDeltas(t *testing.T) {
	const counters, each = 8, 20_000
	at := time.Unix(1_800_000_000, 0)
	s := newTotals(at)
	n := newNode(t, s)
	var counting sync.WaitGroup
	for range counters {
		counting.Go(func() {
			for range each {
				n.Count("k", false, at)
			}
		})
	}
	ended := make(chan struct{})
	go func() { defer close(ended); counting.Wait() }()
	for busy := true; busy; {
		select {
		case <-ended:
			busy = false
		default:
		}
		if err := n.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if total, _ := s.Total("k"); total.Requests[Hours-1] != counters*each {
		t.Errorf("%d requests are stored, want %d", total.Requests[Hours-1], counters*each)
	}
	if got := n.Get("k", at).Requests[Hours-1]; got != counters*each {
		t.Errorf("%d requests, want %d", got, counters*each)
	}
}

// A node whose clock is wrong by days does not remove what others have counted, and its own requests are counted in the storage's hour.
func TestWrongClock(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	s := newTotals(at)
	right, wrong := newNode(t, s), newNode(t, s)
	right.Count("k", false, at)
	wrong.Count("k", false, at.AddDate(0, 0, 3))
	wrong.Count("k", true, at.AddDate(0, 0, 3))
	syncAll(t, right, wrong)
	u := right.Get("k", at)
	if u.Requests[Hours-1] != 3 || u.LastUsed.After(at) || u.OldLastUsed.After(at) {
		t.Errorf("%+v", u)
	}
}

func TestAddDelta(t *testing.T) {
	now := time.Unix(100*hour, 0)
	row := func(hour int64, last uint32) (r Row) {
		r.ID, r.Hour, r.Requests[Hours-1] = "k", hour, last
		return r
	}
	for name, c := range map[string]struct {
		total, delta Row
		index        int
		want         uint32
	}{
		"the first":            {Row{}, row(100, 3), Hours - 1, 3},
		"the same hour":        {row(100, 4), row(100, 3), Hours - 1, 7},
		"a later hour":         {row(98, 4), row(100, 3), Hours - 3, 4},
		"an earlier hour":      {row(100, 4), row(98, 3), Hours - 3, 3},
		"an hour that is over": {row(100, 4), row(76, 3), Hours - 1, 4},
		"the next hour":        {row(100, 4), row(101, 3), Hours - 1, 3},
		"a wrong clock":        {row(100, 4), row(1000, 3), Hours - 1, 7},
		"a wrong total":        {row(1000, 4), row(100, 3), Hours - 1, 7},
		"a large number":       {row(100, math.MaxUint32-1), row(100, 3), Hours - 1, math.MaxUint32},
	} {
		if got := c.total.AddDelta(c.delta, now).Requests[c.index]; got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
