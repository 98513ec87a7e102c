package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/docsgate/docsgate/e2e/cluster/history"
	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/internal/redistest"
	"github.com/docsgate/docsgate/sharedlimits"
)

// rules are what docs/cluster.md says. Of the gates that are killed the leases continue for 10 s.
var rules = history.Rules{Propagation: time.Second, Recovery: 6 * time.Second, MaxGates: 8}

const (
	clients    = 12
	activeKeys = 60                    // that operations choose from
	pause      = 80 * time.Millisecond // of a client between two operations, on average
)

// Random operations at random gates, while connections are cut, the database crashes, Redis fails and gates are killed. No response
// contradicts the acknowledged changes, and none of them is lost. Limits are neither unlimited nor closed.
func TestHistory(t *testing.T) {
	operations, seed := setting(t, "CLUSTER_OPERATIONS", 10_000), setting(t, "CLUSTER_SEED", rand.Uint64())
	t.Logf("CLUSTER_SEED=%d", seed)
	server, d := ownServer(t)
	redis := redistest.Start(t)
	c := startShared(t, 3, d, redis, sharedlimits.DefaultTimeout)
	c.awaitShared()
	w := &workload{c: c, start: time.Now(), random: rand.New(rand.NewPCG(seed, 1)), operations: operations}
	w.h.Disconnected = map[int][]history.Interval{}
	stopControl := c.control(w.start)

	stop := make(chan struct{})
	var faults, running sync.WaitGroup
	faults.Go(func() { w.injectFaults(server, rand.New(rand.NewPCG(seed, 2)), stop) })
	faults.Go(func() { w.injectLimitFaults(redis, rand.New(rand.NewPCG(seed, 3)), stop) })
	for range clients {
		running.Go(func() {
			for w.next() {
				w.operate()
				time.Sleep(time.Duration(w.intN(int(2 * pause)))) // so that the operations meet several faults
			}
		})
	}
	running.Wait()
	close(stop)
	faults.Wait()
	w.readAll()
	c.awaitShared()
	w.h.Control = stopControl()

	counts := map[string]int{}
	for i := range w.h.Ops {
		counts[w.h.Ops[i].Kind.String()+" "+w.h.Ops[i].Outcome.String()]++
	}
	t.Logf("%d operations in %v, %d faults, and %d of Redis: %v; the slowest control request took %v", len(w.h.Ops),
		time.Since(w.start).Round(time.Second), w.faults, len(w.h.LimitFaults), counts, slowest(w.h.Control).Round(time.Millisecond))
	found := w.h.Verify(rules)
	for i := range found[:min(len(found), 5)] {
		t.Errorf("violation %d of %d: %s", i+1, len(found), &found[i])
	}
	if len(found) > 0 {
		t.Errorf("disconnected: %v; faults of Redis: %v", w.h.Disconnected, w.h.LimitFaults)
	}
}

// workload runs random operations and records what clients observe.
type workload struct {
	c      *cluster
	start  time.Time
	faults int

	mu         sync.Mutex // guards the following
	random     *rand.Rand
	operations int
	numbers    int // of keys
	keys       []*testedKey
	limited    limitedKey
	h          history.History
}

// testedKey is a key. Its changes do not overlap.
type testedKey struct {
	number   int
	changing sync.Mutex
	id       string // empty: not known

	mu     sync.Mutex // guards the following
	tokens []string   // empty: not known
}

// next reports whether another operation is to be done.
func (w *workload) next() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.operations--
	return w.operations >= 0 && !w.c.t.Failed()
}

func (w *workload) intN(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.random.IntN(n)
}

// key returns a recent key; nil if there is none.
func (w *workload) key() *testedKey {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(w.keys)
	if n == 0 {
		return nil
	}
	return w.keys[max(0, n-activeKeys)+w.random.IntN(min(n, activeKeys))]
}

func (w *workload) record(o history.Op) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.h.Ops = append(w.h.Ops, o)
}

func (w *workload) operate() {
	node, choice, k := w.intN(len(w.c.nodes)), w.intN(100), w.key()
	switch {
	case k == nil || choice < 6:
		w.add(w.create(node, ample))
	case choice < 20:
		w.checkLimited(node)
	case choice < 38:
		kinds := []history.Kind{history.Revoke, history.Disable, history.Enable, history.Enable, history.Rotate}
		w.change(node, k, kinds[w.intN(len(kinds))])
	default:
		k.mu.Lock()
		n := len(k.tokens)
		k.mu.Unlock()
		if n > 0 && w.intN(5) > 0 {
			w.check(node, k, n-1)
		} else if n > 0 {
			w.check(node, k, w.intN(n))
		}
	}
}

// create creates a key. If the outcome is unknown, its ID and token are.
func (w *workload) create(node, limit int) *testedKey {
	k := &testedKey{}
	w.mu.Lock()
	k.number = w.numbers
	w.numbers++
	w.mu.Unlock()
	o := history.Op{Node: node, Key: k.number, Kind: history.Create, Limit: limit, Begin: time.Since(w.start)}
	made, err := w.c.nodes[node].tryCreateLimited(context.Background(), fmt.Sprintf("key %d", k.number), limit)
	o.End, o.Outcome = time.Since(w.start), outcome(err)
	w.record(o)
	if err == nil {
		k.id, k.tokens = made.ID, []string{made.Token}
	}
	return k
}

// add makes a key one that operations choose.
func (w *workload) add(k *testedKey) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.keys = append(w.keys, k)
}

func (w *workload) change(node int, k *testedKey, kind history.Kind) {
	k.changing.Lock()
	defer k.changing.Unlock()
	if k.id == "" {
		return
	}
	k.mu.Lock()
	o := history.Op{Node: node, Key: k.number, Kind: kind, Token: len(k.tokens), Begin: time.Since(w.start)}
	k.mu.Unlock()
	changed, err := w.c.nodes[node].tryChange(context.Background(), key{ID: k.id}, kind.String())
	o.End, o.Outcome = time.Since(w.start), outcome(err)
	w.record(o)
	if kind == history.Rotate {
		k.mu.Lock()
		k.tokens = append(k.tokens, changed.Token) // empty after an error
		k.mu.Unlock()
	}
}

// outcome returns what is known after a change.
func outcome(err error) history.Outcome {
	response := (*apiError)(nil)
	switch {
	case err == nil:
		return history.OK
	case errors.As(err, &response) && response.status < 500:
		return history.Rejected
	}
	return history.Unknown
}

func (w *workload) check(node int, k *testedKey, number int) {
	k.mu.Lock()
	token := k.tokens[number]
	k.mu.Unlock()
	if token == "" {
		return
	}
	o := history.Op{Node: node, Key: k.number, Kind: history.Check, Token: number, Begin: time.Since(w.start)}
	got, text := w.c.nodes[node].ask(token)
	o.End = time.Since(w.start)
	switch got {
	case valid:
		o.Outcome = history.Valid
	case invalid:
		o.Outcome = history.Invalid
	case unavailable:
		o.Outcome = history.Unavailable
	case limited:
		o.Outcome = history.Limited
	default:
		w.mu.Lock()
		down := false
		for _, d := range w.h.Disconnected[node] {
			down = down || d.From <= o.End && o.Begin <= d.To
		}
		w.mu.Unlock()
		if !down {
			w.c.t.Errorf("%s: %s", &o, text)
		}
	}
	w.record(o)
}

// readAll checks all tokens at all gates when everything works again.
func (w *workload) readAll() {
	time.Sleep(rules.Recovery + 2*rules.Propagation)
	for _, k := range w.keys {
		for number := range k.tokens {
			for node := range w.c.nodes {
				w.check(node, k, number)
			}
		}
	}
}

// injectFaults injects one fault after the other until stop is closed, and ends the last one.
func (w *workload) injectFaults(server *pgtest.Server, random *rand.Rand, stop <-chan struct{}) {
	for sleep(stop, 2*time.Second, 8*time.Second) {
		i := random.IntN(len(w.c.nodes))
		n := w.c.nodes[i]
		affected, begin, end := []int{i}, n.proxies[0].Refuse, n.proxies[0].Accept
		switch random.IntN(5) {
		case 1:
			begin = n.proxies[0].Blackhole
		case 2:
			affected, begin, end = []int{0, 1, 2}, server.Crash, server.Start
		case 3:
			begin, end = n.kill, n.start
		case 4: // started again without the database
			begin = func() { n.kill(); n.proxies[0].Refuse(); n.start() }
		}
		w.disconnect(affected)
		begin()
		sleep(stop, 500*time.Millisecond, 4*time.Second)
		end()
		w.reconnect(affected)
		w.faults++
	}
}

// sleep waits for a random time, and reports whether stop is still open.
func sleep(stop <-chan struct{}, least, most time.Duration) bool {
	select {
	case <-stop:
		return false
	case <-time.After(least + rand.N(most-least)):
		return true
	}
}

// forever is the end of an interval that has not ended yet.
const forever = 24 * time.Hour

func (w *workload) disconnect(nodes []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, i := range nodes {
		w.h.Disconnected[i] = append(w.h.Disconnected[i], history.Interval{From: time.Since(w.start), To: forever})
	}
}

func (w *workload) reconnect(nodes []int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, i := range nodes {
		all := w.h.Disconnected[i]
		all[len(all)-1].To = time.Since(w.start)
	}
}
