package caddymodule_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/docsgate/docsgate/inflight"
	"github.com/docsgate/docsgate/inflight/shares"
	"github.com/docsgate/docsgate/internal/redistest"
)

// sharingGate is what another gate does that shares the limit of answers.
type sharingGate struct {
	t        *testing.T
	limiter  *inflight.Limiter
	shares   *shares.Shares
	limits   inflight.Limits
	upstream string
	leave    func()
}

func newSharingGate(t *testing.T, url, upstream string, limits inflight.Limits) *sharingGate {
	t.Helper()
	conn := connectShared(t, url)
	conn.Start()
	o := &sharingGate{t: t, limiter: new(inflight.Limiter), limits: limits, upstream: upstream}
	o.limits.Waiting, o.limits.WaitingPerKey = 100, 100
	o.shares = shares.New(o.limiter)
	o.leave = o.shares.Join(conn, upstream, "answer", limits)
	t.Cleanup(o.leave)
	return o
}

// acquire waits for a slot of a key.
func (o *sharingGate) acquire(key string) *inflight.Slot {
	o.t.Helper()
	slot := new(inflight.Slot)
	r := inflight.Request{Upstream: o.upstream, Class: "answer", Key: key}
	if d := o.limiter.Acquire(o.t.Context(), slot, r, o.limits, 30*time.Second); d != inflight.Acquired {
		o.t.Fatalf("the other gate got no slot: decision %d", d)
	}
	return slot
}

// testSharing runs a test in each forward mode, with a gate that shares limits of three answers, two of them of one key.
func testSharing(t *testing.T, options string, test func(t *testing.T, g *gate, h *holdingUpstream, o *sharingGate, redis *redistest.Server)) {
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			redis := redistest.Start(t)
			g := newGate(t)
			h := newHoldingUpstream(t, g)
			g.global = "shared_limits " + redis.URL() + " {\ntimeout 5s\n}\n"
			g.start(fmt.Sprintf(site, g.address, "max_in_flight 3\nmax_in_flight_per_key 2\nlimits off\nsse_keepalive 100ms\n"+options))
			upstream := map[bool]string{true: h.URL}[name == "built-in"]
			o := newSharingGate(t, redis.URL(), upstream, inflight.Limits{Total: 3, PerKey: 2})
			waitFor(t, "the gates know each other", func() bool { return o.shares.Status()[0].Nodes == 2 })
			test(t, g, h, o, redis)
		})
	}
}

// The answers of two gates together are not above the limits, and one that waits at any of them gets the slot that the other releases.
func TestInFlightShared(t *testing.T) {
	testSharing(t, "", func(t *testing.T, g *gate, h *holdingUpstream, o *sharingGate, _ *redistest.Server) {
		held := []*inflight.Slot{o.acquire("a"), o.acquire("b"), o.acquire("c")}
		waits := g.sendLater("/stream", policyQuestion("q"))
		h.waitForQueue(t, o.upstream != "", 1)
		for range 2 {
			waitFor(t, "the gate has no share", func() bool { return g.metric(`caddy_docsgate_in_flight_share{class="answer"} `) == "0" })
			time.Sleep(200 * time.Millisecond) // two exchanges
		}
		h.waitForQueue(t, o.upstream != "", 1)
		held[0].Release()
		if r := <-waits.done; r.status != http.StatusOK {
			t.Errorf("%d %s", r.status, r.body)
		}

		// The key has two slots at all gates, and one more at each other one at most.
		first := g.startQuestion(g.urls[0], "/stream", tokenAgent, "hold")
		done := make(chan *inflight.Slot)
		go func() { done <- o.acquire("d") }()
		h.finish <- struct{}{}
		<-first.done
		slot := <-done
		for _, s := range append(held, slot) {
			s.Release()
		}
		if n := g.metric(`caddy_docsgate_in_flight_fallback{class="answer"} `); n != "0" {
			t.Errorf("the fallback: %q", n)
		}
	})
}

// Without a queue, a request gets a slot that no other gate needs, and is rejected if there is none.
func TestInFlightSharedWithoutQueue(t *testing.T) {
	testSharing(t, "queue 0", func(t *testing.T, g *gate, _ *holdingUpstream, o *sharingGate, _ *redistest.Server) {
		held := []*inflight.Slot{o.acquire("a"), o.acquire("b"), o.acquire("c")}
		checkBusy(t, "/stream", g.ask("/stream", tokenAgent, "q", ""), http.StatusServiceUnavailable, "overloaded")
		for _, s := range held {
			s.Release()
		}
		if r := g.ask("/stream", tokenAgent, "q", ""); r.status != http.StatusOK {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
}

// While Redis is unavailable, the gate has an equal part of the limits, and it shares them again afterwards. A reload without the option
// ends that.
func TestInFlightSharedOutage(t *testing.T) {
	testSharing(t, "queue 0", func(t *testing.T, g *gate, h *holdingUpstream, o *sharingGate, redis *redistest.Server) {
		waitFor(t, "the gate knows the other one", func() bool { return g.metric("caddy_docsgate_shared_limits_gates ") == "2" })
		redis.Stop()
		fallback := `caddy_docsgate_in_flight_fallback{class="answer"} `
		waitFor(t, "the fallback", func() bool { return g.metric(fallback) == "1" })
		if n := g.metric(`caddy_docsgate_in_flight_share{class="answer"} `); n != "1" { // of three, for two gates
			t.Errorf("the share: %q", n)
		}
		held := g.startQuestion(g.urls[0], "/stream", tokenAgent, "hold")
		checkBusy(t, "/stream", g.ask("/stream", tokenSource, "q", ""), http.StatusServiceUnavailable, "overloaded")
		redis.Restart()
		waitFor(t, "the end of the fallback", func() bool { return g.metric(fallback) == "0" })
		o.leave()
		others := []*pendingRequest{
			g.startQuestion(g.urls[0], "/stream", tokenSource, "hold"), g.startQuestion(g.urls[0], "/stream", tokenMany, "hold"),
		}
		for range 3 {
			h.finish <- struct{}{}
		}
		for _, r := range append(others, held) {
			<-r.done
		}

		g.global = ""
		site := forwardModes[map[bool]string{true: "built-in", false: "reverse_proxy"}[o.upstream != ""]]
		if err := g.load(g.config(fmt.Sprintf(site, g.address, "queue 0"))); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "the share has ended", func() bool { return g.metric(fallback) == "" })
		if r := g.ask("/stream", tokenAgent, "q", ""); r.status != http.StatusOK {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
}
