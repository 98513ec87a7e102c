package shares

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/docsgate/docsgate/inflight"
	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/redistest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// answers has the limits that most tests use.
var answers = inflight.Limits{Total: 8, PerKey: 4, Waiting: 100, WaitingPerKey: 100}

func wait(t testing.TB, what string, reached func() bool) {
	t.Helper()
	for deadline := time.Now().Add(feedtest.Timeout); !reached(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timeout: %s", what)
		}
	}
}

// fill acquires slots for many keys until the node has no more, with exchanges, and returns how many there were.
func (n *node) fill(most int) int {
	n.t.Helper()
	slots := 0
	for range most {
		if n.try(fmt.Sprint("k", slots), 1) == inflight.Acquired {
			slots++
			continue
		}
		n.exchange()
		if n.try(fmt.Sprint("k", slots), 1) != inflight.Acquired {
			break
		}
		slots++
	}
	return slots
}

// A node that has all the demand decides as a limiter that shares nothing.
func TestEqualsLimiter(t *testing.T) {
	client := redistest.Start(t).Client()
	for seed := range uint64(30) {
		client.FlushAll(t.Context())
		random := rand.New(rand.NewPCG(seed, 1))
		limits := inflight.Limits{Total: 1 + random.IntN(12)}
		limits.PerKey = 1 + random.IntN(limits.Total)
		nodes := newNodes(t, client, 3, limits)
		for _, n := range nodes {
			n.exchange()
		}
		var alone inflight.Limiter
		var held []*inflight.Slot
		shared := map[*inflight.Slot]*inflight.Slot{}
		for range 200 {
			if random.IntN(3) == 0 && len(held) > 0 {
				i := random.IntN(len(held))
				shared[held[i]].Release()
				held[i].Release()
				held = append(held[:i], held[i+1:]...)
				continue
			}
			r := inflight.Request{Upstream: "u", Class: "c", Key: fmt.Sprint(random.IntN(3)), Cost: 1 + random.IntN(3)}
			slot, other := new(inflight.Slot), new(inflight.Slot)
			want := alone.Acquire(t.Context(), slot, r, limits, 0)
			got := nodes[0].limiter.Acquire(t.Context(), other, r, limits, 0)
			if got == inflight.ShareLimit {
				got = nodes[0].acquireWaiting(r, other, nodes)
			}
			if got != want {
				t.Fatalf("seed %d: decision %d for %+v, want %d with %+v%s", seed, got, r, want, limits, describe(nodes))
			}
			if want == inflight.Acquired {
				held = append(held, slot)
				shared[slot] = other
			}
		}
	}
}

// acquireWaiting lets a request wait until exchanges have admitted it, or do not.
func (n *node) acquireWaiting(r inflight.Request, slot *inflight.Slot, nodes []*node) inflight.Decision {
	n.t.Helper()
	limits := n.limits
	limits.Waiting, limits.WaitingPerKey = 10, 10
	decision := make(chan inflight.Decision, 1)
	go func() { decision <- n.limiter.Acquire(n.t.Context(), slot, r, limits, time.Hour) }()
	wait(n.t, "the request waits", func() bool { return n.count().Waiting == 1 })
	for range 10 {
		for _, other := range nodes {
			other.exchange()
		}
		if n.count().Waiting == 0 {
			return <-decision
		}
	}
	n.t.Fatalf("a request waits without a reason: %+v%s", r, describe(nodes))
	return 0
}

// The whole limit is used by the nodes that need it, in equal parts if all do.
func TestSharesFollowDemand(t *testing.T) {
	client := redistest.Start(t).Client()
	nodes := newNodes(t, client, 2, answers)
	a, b := nodes[0], nodes[1]
	for _, n := range nodes {
		n.exchange()
	}
	b.exchange() // it has two for its first requests, and returns the others
	b.exchange()
	if n := a.fill(100); n < 6 {
		t.Errorf("a node alone got %d", n)
	}
	for i := range 10 {
		a.wait(fmt.Sprint("wait", i), 1)
		b.wait(fmt.Sprint("wait", i), 1)
	}
	random := rand.New(rand.NewPCG(1, 1))
	for range 12 {
		a.exchange()
		b.exchange()
		checkSums(t, nodes, answers)
		a.release(random)
	}
	a.exchange()
	b.exchange()
	if a.count().InFlight != 4 || b.count().InFlight != 4 {
		t.Errorf("not in equal parts: %s", describe(nodes))
	}
}

// If the limit is lower than the number of nodes, the nodes take turns.
func TestTurns(t *testing.T) {
	client := redistest.Start(t).Client()
	limits := inflight.Limits{Total: 1, PerKey: 1, Waiting: 100, WaitingPerKey: 100}
	nodes := newNodes(t, client, 3, limits)
	for _, n := range nodes {
		for range 4 {
			n.wait("k", 1)
		}
	}
	random := rand.New(rand.NewPCG(1, 1))
	order := ""
	for deadline := time.Now().Add(feedtest.Timeout); len(order) < 12; {
		for range 2 { // the second time, the node with the slot learns that others wait; its next request would get the slot otherwise
			for _, n := range nodes {
				n.exchange()
				checkSums(t, nodes, limits)
			}
		}
		for i, n := range nodes {
			wait(t, "the goroutines of requests with slots", n.settled)
			if n.release(random) {
				order += fmt.Sprint(i)
				time.Sleep(2 * time.Millisecond) // the turns are measured in milliseconds
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("only %s: %s", order, describe(nodes))
		}
	}
	var turns [3]int
	for _, i := range order {
		turns[i-'0']++
		if slices.Max(turns[:]) > slices.Min(turns[:])+2 { // a slow exchange makes a turn look later than it was
			t.Errorf("a node waits while others have turns: %s", order)
		}
	}
}

// All nodes use the lowest limit, and a caller with a lower limit of its own uses the same fraction of it.
func TestDifferentLimits(t *testing.T) {
	client := redistest.Start(t).Client()
	high := inflight.Limits{Total: 100, PerKey: 50}
	a, b := newNode(t, client, high, longLeases), newNode(t, client, answers, longLeases)
	b.exchange()
	if n := a.fill(50); n > answers.Total {
		t.Errorf("%d in flight, another node has the limit %d", n, answers.Total)
	}
	random := rand.New(rand.NewPCG(1, 1))
	for a.release(random) {
	}
	c := newNode(t, client, high, longLeases)
	client.FlushAll(t.Context())
	c.exchange()
	c.exchange()
	share := c.group.share
	c.limits = inflight.Limits{Total: 10, PerKey: 10}
	if want := (share*10 + 99) / 100; share < 3 || c.fillOnly() != want {
		t.Errorf("a share of %d of 100: %d of 10, want %d", share, c.count().InFlight, want)
	}
}

// fillOnly acquires slots without exchanges.
func (n *node) fillOnly() (slots int) {
	for n.try(fmt.Sprint("k", slots), 1) == inflight.Acquired {
		slots++
	}
	return slots
}

// While the server is unavailable, a node keeps its share until the lease ends, and then has limit/N.
func TestFallback(t *testing.T) {
	client := redistest.Start(t).Client()
	n := newNode(t, client, answers, longLeases)
	if n.fillOnly() != 0 {
		t.Error("a request did not wait for the first exchange")
	}
	n.exchange()
	n.conn.set(true, false)
	n.conn.nodes = 3
	n.exchange()
	held := n.fillOnly()
	if held == 0 || held != n.group.share {
		t.Errorf("%d of a share of %d in flight", held, n.group.share)
	}
	random := rand.New(rand.NewPCG(1, 1))
	for n.release(random) {
	}
	n.group.until = time.Now()
	n.group.publish()
	if got := n.fillOnly(); got != answers.Total/3 || !n.group.status.Fallback || n.group.status.Share != got {
		t.Errorf("%d in flight, %+v", got, n.group.status)
	}
	n.wait("waits", 1)
	n.conn.set(false, false)
	n.exchange()
	if n.count().Waiting != 0 || n.group.status.Fallback {
		t.Errorf("after the outage: %s, %+v", describe([]*node{n}), n.group.status)
	}

	// With more nodes than the limit, and for a request that costs more than the fallback: one at a time.
	n = newNode(t, client, answers, longLeases)
	n.conn.nodes, n.group.until = 100, time.Now()
	n.group.publish()
	if got := n.try("k", 4); got != inflight.Acquired {
		t.Errorf("decision %d", got)
	}
	if got := n.try("other", 1); got != inflight.ShareLimit {
		t.Errorf("decision %d", got)
	}
}

// Nodes whose shares the server has lost keep them, and nothing grows meanwhile.
func TestFlushAll(t *testing.T) {
	client := redistest.Start(t).Client()
	nodes := newNodes(t, client, 3, answers)
	for _, n := range nodes {
		n.exchange()
		n.group.shares.times.freeze = time.Hour
	}
	a, b, c := nodes[0], nodes[1], nodes[2]
	a.fill(100)
	checkSums(t, nodes, answers)
	before := a.group.share
	client.FlushAll(t.Context())
	b.exchange()
	for i := range 10 {
		b.wait(fmt.Sprint(i), 1)
	}
	for range 3 {
		for _, n := range []*node{c, b} { // a has not reported what it holds
			n.exchange()
			checkSums(t, nodes, answers)
		}
	}
	a.exchange()
	if a.count().InFlight > answers.Total || a.group.share > before {
		t.Errorf("the share has grown: %s", describe(nodes))
	}
	// After the freeze, the requests get slots as before.
	client.HSet(t.Context(), a.group.redisKeys(a.conn)[0], "", 1)
	random := rand.New(rand.NewPCG(1, 1))
	for b.count().Waiting > 0 {
		for _, n := range nodes {
			n.exchange()
			checkSums(t, nodes, answers)
			n.release(random)
		}
	}
}

// record changes the record of a node.
func (n *node) record(change func(fields map[string]any)) {
	n.t.Helper()
	client, key := n.conn.client, n.group.redisKeys(n.conn)[0]
	var fields map[string]any
	if err := json.Unmarshal([]byte(client.HGet(n.t.Context(), key, n.group.node).Val()), &fields); err != nil {
		n.t.Fatal(err)
	}
	change(fields)
	text, err := json.Marshal(fields)
	if err != nil {
		n.t.Fatal(err)
	}
	client.HSet(n.t.Context(), key, n.group.node, text)
}

// A clock of the server that is five seconds off, or set back by hours, changes no share. A killed node loses its share when its lease
// has ended, and takes part again when it was only paused.
func TestClockAndLeases(t *testing.T) {
	client := redistest.Start(t).Client()
	a, b := newNode(t, client, answers, defaultTimes), newNode(t, client, answers, defaultTimes)
	nodes := []*node{a, b}
	a.exchange()
	a.fill(100)
	a.exchange()
	if n := a.count().InFlight; n != answers.Total {
		t.Fatalf("%d in flight", n)
	}
	shift := func(d time.Duration) {
		a.record(func(fields map[string]any) { fields["ends"] = fields["ends"].(float64) + float64(d.Milliseconds()) })
	}
	for _, d := range []time.Duration{-5 * time.Second, 5 * time.Second, 3 * time.Hour} {
		a.exchange()
		shift(d)
		b.exchange()
		if b.group.share != 0 {
			t.Errorf("the clock differs by %v: %s", d, describe(nodes))
		}
		checkSums(t, nodes, answers)
	}
	a.record(func(fields map[string]any) {
		if ends, now := int64(fields["ends"].(float64)), client.Time(t.Context()).Val(); ends > now.Add(defaultTimes.serverLease).UnixMilli() {
			t.Error("a clock that was set back extends a lease")
		}
	})

	shift(-defaultTimes.serverLease) // the node was killed or paused
	b.exchange()
	b.wait("k", 1)
	b.exchange()
	if b.count().InFlight != 1 {
		t.Errorf("the share of a dead node is not free: %s", describe(nodes))
	}
	a.group.until = time.Now()
	a.exchange()
	random := rand.New(rand.NewPCG(1, 1))
	for range answers.Total {
		a.release(random)
		a.exchange()
		b.exchange()
	}
	checkSums(t, nodes, answers)
	if a.try("back", 1) != inflight.Acquired {
		t.Errorf("a paused node does not take part again: %s", describe(nodes))
	}
}

// join starts a gate that shares the limits of answers.
func join(t *testing.T, conn *fakeConn) (*Shares, *inflight.Limiter, func()) {
	limiter := new(inflight.Limiter)
	s := New(limiter)
	s.times.lease = time.Second
	leave := s.Join(conn, "u", "c", answers)
	t.Cleanup(leave)
	return s, limiter, leave
}

// acquire waits for a slot.
func acquire(t *testing.T, l *inflight.Limiter, key string) *inflight.Slot {
	t.Helper()
	slot := new(inflight.Slot)
	d := l.Acquire(t.Context(), slot, inflight.Request{Upstream: "u", Class: "c", Key: key}, answers, feedtest.Timeout)
	if d != inflight.Acquired {
		t.Fatalf("decision %d", d)
	}
	return slot
}

// Gates exchange on their own: slots that one releases are those of another's waiting requests, and a gate that leaves returns its share.
func TestJoin(t *testing.T) {
	server := redistest.Start(t)
	connA, connB := &fakeConn{client: server.Client()}, &fakeConn{client: server.Client()}
	shares, a, _ := join(t, connA)
	var held []*inflight.Slot
	for i := range answers.Total {
		held = append(held, acquire(t, a, fmt.Sprint(i)))
	}
	_, b, leave := join(t, connB)
	acquired := make(chan *inflight.Slot)
	go func() { acquired <- acquire(t, b, "k") }()
	wait(t, "the request of b waits", func() bool { c := b.Counts(); return len(c) == 1 && c[0].Waiting == 1 })
	held[0].Release()
	slot := <-acquired
	if s := shares.Status(); len(s) != 1 || s[0].Upstream != "u" || s[0].Class != "c" {
		t.Errorf("%+v", s)
	}
	wait(t, "a knows b", func() bool { s := shares.Status()[0]; return s.Nodes == 2 && s.Share == answers.Total-1 })
	slot.Release()
	leave()
	wait(t, "b has left", func() bool { return shares.Status()[0].Nodes == 1 })
	for _, s := range held {
		s.Release()
	}

	// During an outage the gate continues with its part, also for requests that wait.
	connA.set(true, false)
	connA.nodes = 1
	acquire(t, a, "x").Release()
	wait(t, "the fallback", func() bool { return shares.Status()[0].Fallback })
	held = held[:0]
	for i := range answers.Total {
		held = append(held, acquire(t, a, fmt.Sprint(i)))
	}
	connA.set(false, false)
	wait(t, "the end of the outage", func() bool { return !shares.Status()[0].Fallback })
	for _, s := range held {
		s.Release()
	}
}

// A group exists while it has registrations, whatever their order, and without any the limiter shares nothing.
func TestRegistrations(t *testing.T) {
	server := redistest.Start(t)
	conn := &fakeConn{client: server.Client()}
	s, limiter, leave := join(t, conn)
	other := s.Join(conn, "u", "c", inflight.Limits{Total: 20, PerKey: 20})
	leave()
	leave()
	if n := len(s.Status()); n != 1 {
		t.Errorf("%d groups", n)
	}
	wait(t, "the limits of the other registration", func() bool {
		_, err := conn.client.HGetAll(t.Context(), "docsgate:{in_flight:u:c}:shares").Result()
		s.mu.Lock()
		g := s.groups[[2]string{"u", "c"}]
		s.mu.Unlock()
		_, limits := g.current()
		return err == nil && limits.Total == 20
	})
	other()
	if n := len(s.Status()); n != 0 {
		t.Errorf("%d groups", n)
	}
	for i := range answers.Total { // without an exchange
		slot := new(inflight.Slot)
		if d := limiter.Acquire(t.Context(), slot, inflight.Request{Upstream: "u", Class: "c", Key: fmt.Sprint(i)}, answers, 0); d != inflight.Acquired {
			t.Errorf("decision %d", d)
		}
	}
	s.Join(conn, "u", "c", answers)()
}

// The gates together make a bounded number of exchanges.
func TestIntervals(t *testing.T) {
	for i, c := range []struct {
		group *group
		want  time.Duration
	}{
		{&group{idle: true}, defaultTimes.idle},
		{&group{}, defaultTimes.active},
		{&group{contended: true}, defaultTimes.contended},
		{&group{contended: true, nodes: 20}, defaultTimes.contended},
		{&group{short: true, nodes: 100}, 500 * time.Millisecond},
		{&group{short: true, nodes: 10_000}, defaultTimes.idle},
		{&group{failed: true, idle: true}, defaultTimes.contended},
		{&group{returns: true, nodes: 100}, defaultTimes.soonest},
	} {
		c.group.shares = &Shares{times: defaultTimes}
		if got, _ := c.group.intervals(); got != c.want {
			t.Errorf("case %d: %v, want %v", i, got, c.want)
		}
	}
	if defaultTimes.idle >= defaultTimes.freeze || defaultTimes.idle >= defaultTimes.lease ||
		defaultTimes.lease+5*time.Second > defaultTimes.serverLease {
		t.Errorf("%+v", defaultTimes)
	}
}

// The keys of a script are in one slot of a Redis Cluster.
func TestCluster(t *testing.T) {
	servers := redistest.StartCluster(t)
	client := newClusterClient(t, servers[0].Addr())
	for i := range 10 {
		n := newNode(t, client, answers, longLeases)
		n.group.upstream = fmt.Sprintf("http://docsgpt-%d:7091", i)
		n.exchange()
		if n.group.share == 0 {
			t.Error("no share")
		}
	}
}

// What names of keys contain does not matter.
func TestNames(t *testing.T) {
	client := redistest.Start(t).Client()
	n := newNode(t, client, answers, longLeases)
	n.exchange()
	for _, key := range []string{"{}", "a:b", "\"", "ключ", ""} {
		n.wait(key, 2)
		n.exchange()
		if n.count().Waiting != 0 {
			t.Errorf("%q: %s", key, describe([]*node{n}))
		}
		n.release(rand.New(rand.NewPCG(1, 1)))
	}
}
