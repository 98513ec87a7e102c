package caddymodule_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/docsgate/docsgate/caddymodule"
)

// Addresses of peers: the configuration of the tests trusts one of them as a proxy.
const (
	trustedPeer = "127.0.0.9"
	otherPeer   = "127.0.0.8"
)

// searchOver sends a search with a token over the connections of a transport, with headers given as name, value pairs.
func (g *gate) searchOver(transport http.RoundTripper, token string, headers ...string) response {
	g.t.Helper()
	return g.sendOver(transport, g.urls[0], http.MethodPost, "/api/search", `{"question":"q","api_key":"`+token+`"}`, headers...)
}

// The IP ranges of a key apply to the client of a trusted proxy, and to the peer itself if it is not one.
func TestPolicyIPsBehindProxies(t *testing.T) {
	const policy = `ips: ["192.0.2.7", "198.51.100.0/24", "2001:db8::/64"]`
	const forwarded = "X-Forwarded-For"
	type clientCase struct {
		peer    string
		headers []string
		allowed bool
	}
	for name, c := range map[string]struct {
		servers string
		cases   []clientCase
	}{
		"trusted_proxies": {"", []clientCase{
			{trustedPeer, []string{forwarded, "192.0.2.7"}, true},
			{trustedPeer, []string{forwarded, "192.0.2.7:4711"}, true},
			{trustedPeer, []string{forwarded, "::ffff:192.0.2.7"}, true},
			{trustedPeer, []string{forwarded, "::ffff:c000:207"}, true},
			{trustedPeer, []string{forwarded, "198.51.100.255"}, true},
			{trustedPeer, []string{forwarded, "2001:db8::1"}, true},
			{trustedPeer, []string{forwarded, "2001:DB8:0:0::1"}, true},
			{trustedPeer, []string{forwarded, "2001:db8::1%eth0"}, true},

			{trustedPeer, nil, false},
			{trustedPeer, []string{forwarded, "192.0.2.8"}, false},
			{trustedPeer, []string{forwarded, "198.51.101.1"}, false},
			{trustedPeer, []string{forwarded, "2001:db8:0:1::1"}, false},
			{trustedPeer, []string{forwarded, "::192.0.2.7"}, false}, // not mapped
			{trustedPeer, []string{forwarded, "64:ff9b::192.0.2.7"}, false},
			{trustedPeer, []string{forwarded, "fe80::1%192.0.2.7"}, false},
			{trustedPeer, []string{forwarded, "192.0.2.007"}, false},
			{trustedPeer, []string{forwarded, "3221225991"}, false},
			{trustedPeer, []string{forwarded, "192.0.2.7 or so"}, false},
			{trustedPeer, []string{forwarded, ""}, false},
			{trustedPeer, []string{"X-Real-Ip", "192.0.2.7"}, false}, // not in client_ip_headers
			{trustedPeer, []string{"Forwarded", "for=192.0.2.7"}, false},

			{otherPeer, []string{forwarded, "192.0.2.7"}, false},
			{otherPeer, []string{forwarded, trustedPeer, forwarded, "192.0.2.7"}, false},
			{otherPeer, []string{"X-Real-Ip", "192.0.2.7"}, false},
			{otherPeer, []string{"Forwarded", "for=192.0.2.7"}, false},
			{otherPeer, []string{"True-Client-Ip", "192.0.2.7", "Cf-Connecting-Ip", "192.0.2.7", "X-Client-Ip", "192.0.2.7"}, false},
		}},
		// A proxy that appends to the header leaves what the client wrote on the left.
		"trusted_proxies_strict": {"trusted_proxies_strict", []clientCase{
			{trustedPeer, []string{forwarded, "192.0.2.7"}, true},
			{trustedPeer, []string{forwarded, "203.0.113.9, 192.0.2.7"}, true},
			{trustedPeer, []string{forwarded, "192.0.2.7, " + trustedPeer}, true},
			{trustedPeer, []string{forwarded, "192.0.2.7, 203.0.113.9"}, false},
			{trustedPeer, []string{forwarded, "192.0.2.7", forwarded, "203.0.113.9"}, false},
			{otherPeer, []string{forwarded, "192.0.2.7"}, false},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			g.servers = c.servers
			g.writeKeys(policyKeys(policy))
			g.start(fmt.Sprintf(forwardModes["built-in"], g.address, ""))
			clients := map[string]*http.Transport{trustedPeer: transportFrom(t, trustedPeer), otherPeer: transportFrom(t, otherPeer)}
			for _, tc := range c.cases {
				r := g.searchOver(clients[tc.peer], tokenAgent, tc.headers...)
				if tc.allowed && r.status != http.StatusOK || !tc.allowed && r.status != http.StatusForbidden {
					t.Errorf("%s with %q: %d %s", tc.peer, tc.headers, r.status, r.body)
				}
			}
		})
	}
}

// A flood of visitors on one key drops no counter of another key. The limiter is scaled down: by default it has 200,000 visitors, and
// the flood is of 80,000.
func TestFloodOfVisitors(t *testing.T) {
	const visitors, flood = 100, 400
	g := newGate(t)
	caddymodule.SetMaxVisitors(1000)
	g.writeKeys(fmt.Sprintf(`keys:
  - {id: quiet, sha256: %s, agent: "{env.AGENT_ALPHA}", limits: {visitor_requests: 1/1h}}
  - {id: flooded, sha256: %s, agent: "{env.AGENT_ALPHA}", limits: {visitor_requests: 1/1h, requests: 410/1h}}
`, sha(tokenAgent), sha(tokenSource)))
	g.start(fmt.Sprintf(forwardModes["built-in"], g.address, ""))
	proxy := transportFrom(t, trustedPeer)
	status := func(token string, visitor int) int {
		return g.searchOver(proxy, token, "X-Forwarded-For", fmt.Sprintf("10.0.%d.%d", visitor/256, visitor%256)).status
	}
	for i := range visitors {
		if got := status(tokenAgent, i); got != http.StatusOK {
			t.Fatalf("visitor %d: %d", i, got)
		}
	}
	for i := range flood {
		if got := status(tokenSource, i); got != http.StatusOK {
			t.Fatalf("visitor %d of the flood: %d", i, got)
		}
	}
	for i := range visitors {
		if got := status(tokenAgent, i); got != http.StatusTooManyRequests {
			t.Errorf("visitor %d of the other key after the flood: %d", i, got)
		}
	}
	// Visitors of the flooded key begin again, but only within the limit of the key.
	allowed := 0
	for i := range flood {
		if status(tokenSource, i) == http.StatusOK {
			allowed++
		}
	}
	if allowed > 11 { // one more is replenished every 8.8 s
		t.Errorf("%d more requests with the flooded key", allowed)
	}
}
