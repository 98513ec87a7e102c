package main

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/docsgate/docsgate/visitortoken"
)

// signSecret signs the tokens of visitors.
const signSecret = "bench-secret-for-signing-visitor-tokens"

// keyPolicies are the policies of the keys by ID, as in a key file.
var keyPolicies = map[string]string{
	"plain":       "",
	"publishable": `kind: publishable, origins: ["https://docs.example.com", "https://*.example.org"]`,
	"limited":     "limits: {requests: 100/2s}",
	"quota":       "limits: {questions_per_day: 300}",
	"signed":      `visitors: required, sign_secret: "{env.BENCH_SIGN_SECRET}", limits: {visitor_requests: 20/1h}`,
	"hammered":    "limits: {requests: 20/1s, visitor_requests: off}",
	"kept":        "limits: {visitor_requests: 3/1h}",
	"flooded":     "limits: {visitor_requests: 5/1h}",

	// With limits that are not reached, to compare the CPU time.
	"cost-publishable": `kind: publishable, origins: ["https://docs.example.com", "https://*.example.org"]`,
	"cost-limited":     "limits: {requests: 1000000/1s, streams: 4000, visitor_requests: 1000/1s, question_chars: 4000}",
	"cost-quota":       "limits: {questions_per_day: 1000000000, tokens_per_day: 1000000000}",
	"cost-signed":      `visitors: optional, sign_secret: "{env.BENCH_SIGN_SECRET}"`,
}

// mixedKey returns the token of a key.
func mixedKey(id string) string { return "dgk_bench_mixed_" + id }

func writeMixedKeys(path string) error {
	var b strings.Builder
	b.WriteString("keys:\n")
	for id, fields := range keyPolicies {
		if fields != "" {
			fields = ", " + fields
		}
		fmt.Fprintf(&b, "  - {id: %s, sha256: %x, agent: \"{env.BENCH_AGENT_KEY}\"%s}\n", id, sha256.Sum256([]byte(mixedKey(id))), fields)
	}
	return os.WriteFile(path, []byte(b.String()), 0o600)
}

// mixedCaddyfile returns the configuration of a gate with the default limits, behind a trusted proxy.
func mixedCaddyfile(address, upstream, keyFile string) string {
	return "{\n\tadmin off\n\tpersist_config off\n\tauto_https off\n\tservers {\n\t\ttrusted_proxies static 127.0.0.1/32\n\t}\n" +
		"\tdocsgate {\n\t\tfeed file " + keyFile + "\n\t}\n}\n\nhttp://" + address + " {\n\tdocsgate " + upstream + "\n}\n"
}

// mixedRequest is a request with the token, web origin and address of a client.
type mixedRequest struct{ token, origin, address string }

// address returns the nth address of a network. No client sends so many requests that it reaches a limit of visitors.
func address(network, n int) string {
	return fmt.Sprintf("10.%d.%d.%d", network+n>>16, n>>8&0xff, n&0xff)
}

// mixedKind is a kind of traffic, with the number of requests that must be accepted. A rejected unknown token counts as accepted if the
// gate has looked it up.
type mixedKind struct {
	name    string
	workers int
	pause   time.Duration // between the requests of a worker
	status  int           // of accepted requests; 0: 200
	request func(n int) mixedRequest
	// allowed returns the range of the number of accepted requests, of those that were sent in a time.
	allowed func(sent int, took time.Duration) (low, high int)
}

// mixedKinds are used at the same time.
var mixedKinds = []mixedKind{
	{
		"no policy", 2, 5 * time.Millisecond, 0,
		func(n int) mixedRequest { return mixedRequest{token: mixedKey("plain"), address: address(0, n)} }, allAllowed,
	},
	{
		"publishable, half of the requests on another page", 1, 5 * time.Millisecond, 0,
		func(n int) mixedRequest {
			return mixedRequest{mixedKey("publishable"), []string{"https://a.example.org", "https://example.org"}[n%2], address(10, n)}
		},
		func(sent int, _ time.Duration) (low, high int) { return (sent + 1) / 2, (sent + 1) / 2 },
	},
	{
		"100 requests in 2 s", 2, 5 * time.Millisecond, 0,
		func(n int) mixedRequest { return mixedRequest{token: mixedKey("limited"), address: address(20, n)} },
		rateAllowed(100, 2*time.Second),
	},
	{
		"300 questions a day", 1, 5 * time.Millisecond, 0,
		func(n int) mixedRequest { return mixedRequest{token: mixedKey("quota"), address: address(30, n)} },
		func(sent int, _ time.Duration) (low, high int) { return min(sent, 300), min(sent, 300) },
	},
	{
		"10 signed visitors with 20 requests an hour each", 1, 5 * time.Millisecond, 0,
		func(n int) mixedRequest {
			return mixedRequest{token: visitorToken("signed", fmt.Sprint("visitor-", n%10)), address: address(40, n)}
		},
		func(sent int, _ time.Duration) (low, high int) { return min(sent, 200), min(sent, 200) },
	},
	{
		"a key without its signed tokens", 1, 20 * time.Millisecond, 0,
		func(n int) mixedRequest { return mixedRequest{token: mixedKey("signed"), address: address(50, n)} }, noneAllowed,
	},
	{
		"unknown tokens of one address, looked up", 1, 5 * time.Millisecond, http.StatusUnauthorized,
		func(n int) mixedRequest { return mixedRequest{token: unknownToken(uint64(n)), address: address(60, 0)} },
		rateAllowed(60, time.Minute), // failed_tokens
	},
	{
		"a flood of requests, 20 a second allowed", 4, 0, 0,
		func(n int) mixedRequest {
			return mixedRequest{token: mixedKey("hammered"), address: address(70, n%1000)}
		},
		rateAllowed(20, time.Second),
	},
}

func allAllowed(sent int, _ time.Duration) (low, high int) { return sent, sent }
func noneAllowed(int, time.Duration) (low, high int)       { return 0, 0 }

// rateAllowed returns the range for a rate: never more than the burst and what is replenished, and at most one window less, unless fewer
// requests were sent.
func rateAllowed(count int, per time.Duration) func(int, time.Duration) (low, high int) {
	return func(sent int, took time.Duration) (low, high int) {
		replenished := int(int64(count) * int64(took) / int64(per))
		return min(sent, replenished), min(sent, count+replenished+1)
	}
}

// costKind is a kind of requests whose CPU time is compared with that of the first kind.
type costKind struct {
	name     string
	rejected bool
	request  func(n int) mixedRequest
}

var costKinds = []costKind{
	{"no policy", false, costOf("plain", "")},
	{"publishable, with origins", false, costOf("cost-publishable", "https://docs.example.com")},
	{"limits of the key, of visitors and of the question", false, costOf("cost-limited", "")},
	{"quotas", false, costOf("cost-quota", "")},
	{"signed visitors", false, func() func(n int) mixedRequest {
		tokens := make([]string, 100)
		for i := range tokens {
			tokens[i] = visitorToken("cost-signed", fmt.Sprint("visitor-", i))
		}
		return func(n int) mixedRequest { return mixedRequest{token: tokens[n%len(tokens)], address: address(90, n)} }
	}()},
	{"unknown tokens, rejected", true, func(n int) mixedRequest {
		return mixedRequest{token: unknownToken(uint64(1e6 + n)), address: address(91, n)}
	}},
}

func costOf(id, origin string) func(n int) mixedRequest {
	return func(n int) mixedRequest { return mixedRequest{mixedKey(id), origin, address(80, n%5000)} }
}

// visitorToken returns a signed token.
func visitorToken(id, visitor string) string {
	secret, err := visitortoken.NewSecret(signSecret)
	if err != nil {
		panic(err) // constant
	}
	token, err := visitortoken.Sign(visitortoken.Request{KeyID: id, Visitor: visitor, Lifetime: time.Hour}, time.Now(), secret)
	if err != nil {
		panic(err) // the arguments are constant, too
	}
	return token
}
