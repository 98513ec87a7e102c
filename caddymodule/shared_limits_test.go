package caddymodule_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/redistest"
	"github.com/docsgate/docsgate/ratelimit"
	"github.com/docsgate/docsgate/ratelimit/sharedrate"
	"github.com/docsgate/docsgate/sharedlimits"
)

// otherGate is another gate with the same shared_limits.
type otherGate struct {
	conn  *sharedlimits.Conn
	rates *sharedrate.Limiter
	salt  ratelimit.Salt
}

// connectShared returns the connection of another gate, which is not started yet. It is closed when the test ends.
func connectShared(t *testing.T, url string) *sharedlimits.Conn {
	t.Helper()
	address, err := sharedlimits.ParseAddress(url, false)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := sharedlimits.New(sharedlimits.Options{Address: address, Timeout: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func newOtherGate(t *testing.T, url string) *otherGate {
	t.Helper()
	conn := connectShared(t, url)
	o := &otherGate{conn: conn, rates: sharedrate.New(conn, "", ratelimit.New(0))}
	t.Cleanup(o.rates.Close)
	conn.Start()
	return o
}

// visitor returns the visitor with an address at the key of most tests.
func (o *otherGate) visitor(address string) ratelimit.Visitor {
	o.rates.ShareVisitors(&o.salt)
	return o.salt.VisitorID(time.Now(), "agent", netip.MustParseAddr(address))
}

// eachForwardingWithSharedLimits runs a test of two gates in each forward mode.
func eachForwardingWithSharedLimits(t *testing.T, options string, test func(t *testing.T, g *gate, o *otherGate, server *redistest.Server)) {
	t.Helper()
	for name, site := range forwardModes {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t)
			t.Setenv("DOCSGATE_REDIS_URL", server.URL())
			g := newGate(t)
			g.global = "shared_limits {env.DOCSGATE_REDIS_URL} {\ntimeout 5s\n}"
			g.start(fmt.Sprintf(site, g.address, options))
			o := newOtherGate(t, server.URL())
			waitForGates(t, g, 2)
			waitFor(t, "the other gate", func() bool { return o.conn.Available() && o.conn.Nodes() == 2 })
			test(t, g, o, server)
		})
	}
}

// waitForGates waits until the gate shares its limits with others.
func waitForGates(t *testing.T, g *gate, n int) {
	t.Helper()
	waitFor(t, "shared limits", func() bool {
		metrics := g.send(http.MethodGet, "/metrics", "").body
		return strings.Contains(metrics, "\ncaddy_docsgate_shared_limits_up 1\n") &&
			strings.Contains(metrics, fmt.Sprintf("\ncaddy_docsgate_shared_limits_gates %d\n", n))
	})
}

func TestSharedRates(t *testing.T) {
	const options = "limits {\nrequests 6/1h\nvisitor_requests 4/1h\n}"
	keyRate, visitorRate := ratelimit.Rate{Count: 6, Per: time.Hour}, ratelimit.Rate{Count: 4, Per: time.Hour}
	eachForwardingWithSharedLimits(t, options, func(t *testing.T, g *gate, o *otherGate, server *redistest.Server) {
		// The other gate has the same visitors.
		for range 3 {
			if d := o.rates.Allow(time.Now(), "agent", o.visitor("127.0.0.1"), keyRate, visitorRate); !d.Allowed() {
				t.Fatalf("%+v", d)
			}
		}
		if r := g.askFrom("127.0.0.1", "q"); r.status != http.StatusOK || !strings.HasPrefix(r.header.Get("RateLimit"), `"visitor";r=0;`) {
			t.Fatalf("%d, RateLimit %q", r.status, r.header.Get("RateLimit"))
		}
		checkRateLimited(t, "/api/answer", g.askFrom("127.0.0.1", "q"), `"visitor";q=4;w=3600`)
		for range 2 {
			if r := g.askFrom("127.0.0.2", "q"); r.status != http.StatusOK {
				t.Fatalf("%d %s", r.status, r.body)
			}
		}
		checkRateLimited(t, "/api/answer", g.askFrom("127.0.0.3", "q"), `"key";q=6;w=3600`)

		// A reload changes nothing.
		if err := g.load(g.config(fmt.Sprintf(forwardModes["built-in"], g.address, options))); err != nil {
			t.Fatal(err)
		}
		waitForGates(t, g, 2)
		checkRateLimited(t, "/api/answer", g.askFrom("127.0.0.3", "q"), `"key";q=6;w=3600`)

		// During an outage each of the two gates allows half of each limit, also after a start.
		server.Stop()
		var r response
		waitFor(t, "a decision without Redis", func() bool {
			r = g.askFrom("127.0.0.4", "q")
			return r.status == http.StatusOK
		})
		if got := r.header.Get("RateLimit-Policy"); got != `"visitor";q=2;w=3600` {
			t.Errorf("RateLimit-Policy %q", got)
		}
		for _, address := range []string{"127.0.0.5", "127.0.0.6"} {
			if r := g.askFrom(address, "q"); r.status != http.StatusOK {
				t.Fatalf("%s: %d %s", address, r.status, r.body)
			}
		}
		checkRateLimited(t, "/api/answer", g.askFrom("127.0.0.7", "q"), `"key";q=3;w=3600`)
		metrics := g.send(http.MethodGet, "/metrics", "").body
		if !strings.Contains(metrics, "\ncaddy_docsgate_shared_limits_up 0\n") ||
			!strings.Contains(metrics, "\n"+`caddy_docsgate_shared_limits_fallbacks_total{limit="requests"} `) {
			t.Error("the metrics do not show the outage")
		}
		g.global = "shared_limits {env.DOCSGATE_REDIS_URL} {\ntimeout 2s\n}" // another connection, which starts during the outage
		if err := g.load(g.config(fmt.Sprintf(forwardModes["built-in"], g.address, options))); err != nil {
			t.Fatal(err)
		}
		checkRateLimited(t, "/api/answer", g.askFrom("127.0.0.7", "q"), `"key";q=3;w=3600`)

		server.Restart()
		waitForGates(t, g, 2)
		waitFor(t, "a shared decision", func() bool {
			return g.askFrom("127.0.0.9", "q").header.Get("RateLimit-Policy") == `"visitor";q=4;w=3600`
		})
	})
}

func TestSharedStreams(t *testing.T) {
	const options = "limits {\nstreams 1\nvisitor_streams 1\n}"
	eachForwardingWithSharedLimits(t, options, func(t *testing.T, g *gate, o *otherGate, _ *redistest.Server) {
		slot, reached := o.rates.Acquire("agent", o.visitor("127.0.0.1"), 1, 1)
		if reached != ratelimit.None {
			t.Fatal(reached)
		}
		r := g.askFrom("127.0.0.2", "q")
		if r.status != http.StatusTooManyRequests {
			t.Errorf("%d %s", r.status, r.body)
		}
		checkErrorFormat(t, "/api/answer", r, "too_many_streams")
		slot.Release()
		waitFor(t, "the stream of the other gate is over", func() bool { return g.askFrom("127.0.0.2", "q").status == http.StatusOK })

		_, disconnect := g.openStream(false, tokenAgent, "[[gap=600]]")
		if _, reached := o.rates.Acquire("agent", o.visitor("127.0.0.3"), 1, 1); reached != ratelimit.PerKey {
			t.Errorf("the stream does not count at the other gate: %d", reached)
		}
		disconnect()
		waitFor(t, "the stream is over", func() bool {
			slot, reached := o.rates.Acquire("agent", o.visitor("127.0.0.3"), 1, 1)
			slot.Release()
			return reached == ratelimit.None
		})
	})
}

// An address that does not allow a connection is an error; a server that is unavailable is not.
func TestSharedLimitsAddress(t *testing.T) {
	g := newGate(t)
	site := fmt.Sprintf(forwardModes["built-in"], g.address, "")
	t.Setenv("DOCSGATE_REDIS_URL", "redis://:canary-secret@redis.invalid:6379")
	for _, text := range []string{"{env.DOCSGATE_REDIS_URL}", "{env.DOCSGATE_NO_SUCH_VARIABLE}", "redis://redis.invalid"} {
		g.global = "shared_limits " + text
		if err := g.load(g.config(site)); err == nil || !strings.Contains(err.Error(), "shared_limits") || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", text, err)
		}
	}
	g.global = "shared_limits {env.DOCSGATE_REDIS_URL} {\ninsecure_plaintext\n}"
	g.start(site)
	if r := g.ask("/api/answer", tokenAgent, "q", ""); r.status != http.StatusOK {
		t.Errorf("%d %s", r.status, r.body)
	}
	waitFor(t, "the log", func() bool {
		log := g.logs()
		return strings.Contains(log, "is not encrypted") && strings.Contains(log, "the server of shared_limits is unavailable")
	})
	if strings.Contains(g.logs(), "canary-secret") {
		t.Error("the log contains the password")
	}
}
