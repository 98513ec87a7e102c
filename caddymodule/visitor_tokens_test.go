package caddymodule_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/policy"
	"github.com/docsgate/docsgate/visitortoken"
)

// signSecret is the secret that signs tokens of the key "agent". It must not appear in logs or responses.
const signSecret = "canary-secret-for-signing-visitor-tokens"

// visitorRequest describes a token of a visitor of the key "agent".
func visitorRequest(visitor string) visitortoken.Request {
	return visitortoken.Request{KeyID: "agent", Visitor: visitor, Lifetime: 10 * time.Minute}
}

// sign signs a token at a time. It must not appear in logs.
func sign(t *testing.T, r visitortoken.Request, at time.Time) string {
	t.Helper()
	secret, err := visitortoken.NewSecret(signSecret)
	if err != nil {
		t.Fatal(err)
	}
	token, err := visitortoken.Sign(r, at, secret)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// limitsOf parses limits.
func limitsOf(t *testing.T, pairs ...string) (l policy.Limits) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if err := l.Set(pairs[i], pairs[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// eachForwardingWithVisitors runs a test with a key that has the policy and accepts signed tokens.
func eachForwardingWithVisitors(t *testing.T, visitors, fields, options string, test func(t *testing.T, g *gate)) {
	t.Helper()
	t.Setenv("SIGN_SECRET", signSecret)
	fields = strings.TrimPrefix(fields+", "+fmt.Sprintf(`visitors: %s, sign_secret: "{env.SIGN_SECRET}"`, visitors), ", ")
	eachForwardingWithPolicy(t, fields, options, test)
}

// tokenRequests sends requests with a token at endpoints with different error formats and token locations.
func tokenRequests(g *gate, token string, headers ...string) map[string]response {
	bearer := append([]string{"Authorization", "Bearer " + token}, headers...)
	question := `{"question":"q","api_key":"` + token + `"}`
	return map[string]response{
		"/stream":              g.send(http.MethodPost, "/stream", question, headers...),
		"/api/answer":          g.send(http.MethodPost, "/api/answer", question, headers...),
		"/api/search":          g.send(http.MethodPost, "/api/search", question, headers...),
		"/v1/chat/completions": g.send(http.MethodPost, "/v1/chat/completions", `{"messages":[{"role":"user","content":"q"}]}`, bearer...),
		"/v1/models":           g.send(http.MethodGet, "/v1/models", "", bearer...),
	}
}

func TestVisitorTokenIsValidWhereTheKeyIs(t *testing.T) {
	eachForwardingWithVisitors(t, "optional", "", "", func(t *testing.T, g *gate) {
		token := sign(t, visitorRequest("v1"), time.Now())
		for _, token := range []string{token, tokenAgent} {
			for path, r := range tokenRequests(g, token) {
				if r.status != http.StatusOK {
					t.Errorf("%s: %d %s", path, r.status, r.body)
				}
			}
		}
		for _, call := range g.backend.Calls() {
			if text := fmt.Sprintf("%+v", call); strings.Contains(text, token) || strings.Contains(text, signSecret) {
				t.Errorf("the signed token reached DocsGPT: %s", text)
			}
		}
		if logs := g.logs(); strings.Contains(logs, token) || strings.Contains(logs, token[strings.LastIndexByte(token, '.'):]) || strings.Contains(logs, signSecret) {
			t.Error("the log contains the signed token or the secret")
		}
		for path, r := range tokenRequests(g, token[:len(token)-8]+"AAAAAAAA") {
			if r.status != http.StatusUnauthorized {
				t.Errorf("%s with a wrong signature: %d", path, r.status)
			}
			checkErrorFormat(t, path, r, "invalid_api_key")
		}
		if strings.Contains(g.logs(), token[:strings.LastIndexByte(token, '.')]) {
			t.Error("the log contains a rejected token")
		}
		if n := g.metric(`caddy_docsgate_auth_decisions_total{endpoint="stream",reason="visitor_token_invalid"}`); n == "" {
			t.Error("the metric does not count tokens that are not valid")
		}
	})
}

func TestVisitorsRequired(t *testing.T) {
	eachForwardingWithVisitors(t, "required", "", "", func(t *testing.T, g *gate) {
		for path, r := range tokenRequests(g, tokenAgent) {
			if r.status != http.StatusUnauthorized || !strings.Contains(r.body, "reload the page") {
				t.Errorf("%s with the key's token: %d %s", path, r.status, r.body)
			}
			checkErrorFormat(t, path, r, "visitor_required")
		}
		if n := len(g.backend.Calls()); n > 0 {
			t.Errorf("%d requests with the key's token reached DocsGPT", n)
		}
		for path, r := range tokenRequests(g, sign(t, visitorRequest("v1"), time.Now())) {
			if r.status != http.StatusOK {
				t.Errorf("%s: %d %s", path, r.status, r.body)
			}
		}
	})
}

func TestVisitorsOff(t *testing.T) {
	eachForwardingWithVisitors(t, "off", "", "", func(t *testing.T, g *gate) {
		for path, r := range tokenRequests(g, sign(t, visitorRequest("v1"), time.Now())) {
			if r.status != http.StatusUnauthorized {
				t.Errorf("%s: %d %s", path, r.status, r.body)
			}
			checkErrorFormat(t, path, r, "invalid_api_key")
		}
		if r := g.ask("/stream", tokenAgent, "q", ""); r.status != http.StatusOK {
			t.Errorf("the key's token: %d", r.status)
		}
	})
}

func TestVisitorTokenExpires(t *testing.T) {
	eachForwardingWithVisitors(t, "required", "", "", func(t *testing.T, g *gate) {
		expired := visitorRequest("v1")
		old := visitorRequest("v1")
		old.Generation = 1 // the key has generation 0
		for name, token := range map[string]string{
			"expired": sign(t, expired, time.Now().Add(-time.Hour)), "of another generation": sign(t, old, time.Now()),
		} {
			for path, r := range tokenRequests(g, token) {
				if r.status != http.StatusUnauthorized || !strings.Contains(r.body, "reload the page") {
					t.Errorf("%s, %s: %d %s", name, path, r.status, r.body)
				}
				checkErrorFormat(t, path, r, "visitor_token_expired")
			}
		}
	})
}

func TestVisitorTokenEndsWithItsKey(t *testing.T) {
	eachForwardingWithVisitors(t, "required", "", "", func(t *testing.T, g *gate) {
		token := sign(t, visitorRequest("v1"), time.Now())
		file := policyKeys(`visitors: required, sign_secret: "{env.SIGN_SECRET}"%s`)
		for _, end := range []string{", state: disabled", ", expires: 2020-01-01T00:00:00Z"} {
			g.writeKeys(fmt.Sprintf(file, ""))
			waitFor(t, "the token is valid", func() bool { return g.ask("/stream", token, "q", "").status == http.StatusOK })
			g.writeKeys(fmt.Sprintf(file, end))
			waitFor(t, "the token has ended with "+end, func() bool {
				return g.ask("/stream", token, "q", "").status == http.StatusUnauthorized
			})
		}
		g.writeKeys(fmt.Sprintf(file, ", generation: 2"))
		waitFor(t, "all tokens are invalidated", func() bool {
			return strings.Contains(g.ask("/api/answer", token, "q", "").body, "visitor_token_expired")
		})
	})
}

func TestVisitorTokenOrigin(t *testing.T) {
	eachForwardingWithVisitors(t, "optional", `origins: ["https://*.example.com", "https://app.example.org"]`, "", func(t *testing.T, g *gate) {
		r := visitorRequest("v1")
		origin, err := policy.ParseOrigin("https://app.example.com")
		if err != nil {
			t.Fatal(err)
		}
		r.Origin = &origin
		bound, unbound := sign(t, r, time.Now()), sign(t, visitorRequest("v1"), time.Now())
		for token, origins := range map[string]map[string]int{
			bound:   {"https://app.example.com": 200, "https://www.example.com": 403, "https://evil.example": 403, "null": 403, "": 403},
			unbound: {"https://app.example.com": 200, "https://www.example.com": 200, "https://evil.example": 403, "null": 403, "": 403},
		} {
			for origin, want := range origins {
				if r := g.send(http.MethodPost, "/stream", `{"question":"q","api_key":"`+token+`"}`, "Origin", origin); r.status != want {
					t.Errorf("bound %v from %q: %d, want %d: %s", token == bound, origin, r.status, want, r.body)
				}
			}
		}
	})
}

// A secret key must not be in a page, but signed tokens are for pages.
func TestVisitorTokenOfSecretKeyInBrowser(t *testing.T) {
	eachForwardingWithVisitors(t, "optional", "kind: secret", "", func(t *testing.T, g *gate) {
		token := sign(t, visitorRequest("v1"), time.Now())
		for token, want := range map[string]int{token: http.StatusOK, tokenAgent: http.StatusForbidden} {
			if r := g.send(http.MethodPost, "/stream", `{"question":"q","api_key":"`+token+`"}`, "Origin", "https://docs.example.com"); r.status != want {
				t.Errorf("%d, want %d: %s", r.status, want, r.body)
			}
		}
	})
}

func TestVisitorTokenLimits(t *testing.T) {
	eachForwardingWithVisitors(t, "optional", "limits: {visitor_requests: 3/1h, question_chars: 50}", "", func(t *testing.T, g *gate) {
		lower := visitorRequest(t.Name() + "-lower")
		lower.Visitor = "lower"
		lower.Limits = limitsOf(t, "visitor_requests", "1/1h", "question_chars", "10")
		higher := visitorRequest("higher")
		higher.Limits = limitsOf(t, "visitor_requests", "1000/1s", "question_chars", "1000")
		for token, allowed := range map[string]int{
			sign(t, lower, time.Now()): 1, sign(t, higher, time.Now()): 3, sign(t, visitorRequest("plain"), time.Now()): 3,
		} {
			for i := range 5 {
				want := http.StatusOK
				if i >= allowed {
					want = http.StatusTooManyRequests
				}
				if r := g.ask("/api/answer", token, "q", ""); r.status != want || r.header.Get("RateLimit") == "" {
					t.Errorf("request %d of %d allowed ones: %d %q", i+1, allowed, r.status, r.header.Get("RateLimit"))
				}
			}
		}
		long := strings.Repeat("x", 20)
		other := lower
		other.Visitor = "other"
		if r := g.ask("/api/answer", sign(t, other, time.Now()), long, ""); r.status != http.StatusBadRequest {
			t.Errorf("a question over the lower limit: %d %s", r.status, r.body)
		}
		other = higher
		other.Visitor = "another"
		if r := g.ask("/api/answer", sign(t, other, time.Now()), strings.Repeat("x", 60), ""); r.status != http.StatusBadRequest {
			t.Errorf("a question over the key's limit: %d %s", r.status, r.body)
		}
	})
}

// The tightest limit is in the headers, also if the rate of the token is the only one.
func TestVisitorTokenRateAndQuota(t *testing.T) {
	const options = "limits {\nvisitor_requests off\n}"
	eachForwardingWithVisitors(t, "optional", "limits: {questions_per_day: 4}", options, func(t *testing.T, g *gate) {
		r := visitorRequest(t.Name())
		r.Limits = limitsOf(t, "visitor_requests", "5/1h")
		token := sign(t, r, time.Now())
		if got := g.ask("/api/answer", token, "q", "").header.Get("RateLimit"); !strings.HasPrefix(got, `"questions_per_day";r=3;`) {
			t.Errorf("RateLimit %q", got)
		}
		g.ask("/api/search", token, "q", "")
		g.ask("/api/search", token, "q", "")
		if got := g.ask("/api/answer", token, "q", "").header.Get("RateLimit"); !strings.HasPrefix(got, `"visitor";r=1;`) {
			t.Errorf("RateLimit %q", got)
		}
	})
}

// Conversations belong to the visitor: neither other visitors nor the key's own token continue them.
func TestVisitorsOwnConversations(t *testing.T) {
	eachForwardingWithVisitors(t, "optional", "", "", func(t *testing.T, g *gate) {
		first := sign(t, visitorRequest("v1"), time.Now())
		again := sign(t, visitorRequest("v1"), time.Now().Add(-time.Minute))
		second := sign(t, visitorRequest("v2"), time.Now())
		id := g.ask("/api/answer", first, "one", "").conversation(t)
		for token, owns := range map[string]bool{again: true, second: false, tokenAgent: false, first: true} {
			r := g.ask("/api/answer", token, "two", `,"conversation_id":"`+id+`"`)
			if r.status != http.StatusOK || strings.Contains(g.lastBody(), bareID(t, id)) != owns {
				t.Errorf("owns %v: %d, forwarded %s", owns, r.status, g.lastBody())
			}
		}
		id = g.ask("/api/answer", tokenAgent, "one", "").conversation(t)
		if g.ask("/api/answer", first, "two", `,"conversation_id":"`+id+`"`); strings.Contains(g.lastBody(), bareID(t, id)) {
			t.Error("a visitor continues a conversation of the key")
		}
	})
}

// DocsGPT stores what the gate has verified, and nothing that the client has chosen.
func TestVisitorFacts(t *testing.T) {
	const facts = `{"docsgate_key":"agent","docsgate_visitor":"v1"}`
	claimed := `,"passthrough":{"docsgate_visitor":"admin"},"user":"admin","docsgpt":{"passthrough":{"docsgate_visitor":"admin"}}`
	for _, options := range []string{"", "allow_fields passthrough"} {
		eachForwardingWithVisitors(t, "optional", "", options, func(t *testing.T, g *gate) {
			token := sign(t, visitorRequest("v1"), time.Now())
			more := claimed
			if options != "" {
				more = `,"passthrough":{"city":"Rome"}`
			}
			for _, path := range []string{"/stream", "/api/answer"} {
				if g.ask(path, token, "q", more); !strings.Contains(g.lastBody(), `"passthrough":`+facts) ||
					strings.Contains(g.lastBody(), "admin") || strings.Contains(g.lastBody(), "Rome") {
					t.Errorf("%s: %s", path, g.lastBody())
				}
				if g.ask(path, tokenAgent, "q", more); strings.Contains(g.lastBody(), "docsgate_") || strings.Contains(g.lastBody(), "admin") {
					t.Errorf("%s with the key's token: %s", path, g.lastBody())
				}
			}
			g.send(http.MethodPost, "/v1/chat/completions", `{"messages":[{"role":"user","content":"q"}]`+more+`}`, "Authorization", "Bearer "+token)
			if body := g.lastBody(); !strings.Contains(body, `"docsgpt":{"passthrough":`+facts+`}`) || strings.Contains(body, "admin") {
				t.Errorf("/v1: %s", body)
			}
			if options == "" {
				return
			}
			calls := len(g.backend.Calls())
			for _, name := range []string{"docsgate_visitor", `docsgate\u005fkey`} {
				if r := g.ask("/stream", tokenAgent, "q", `,"passthrough":{"`+name+`":"admin"}`); r.status != http.StatusBadRequest {
					t.Errorf("a client claims %s: %d", name, r.status)
				}
			}
			if len(g.backend.Calls()) != calls {
				t.Error("a claim reached DocsGPT")
			}
		})
	}
}

// lastBody returns the body of the last request that the backend has received.
func (g *gate) lastBody() string { return string(g.lastCall().Body) }

// An answer in flight ends when the visitors' tokens are invalidated, and when the key no longer accepts visitors.
func TestVisitorRevocation(t *testing.T) {
	for name, change := range map[string]string{
		"generation": `visitors: optional, sign_secret: "{env.SIGN_SECRET}", generation: 1`, "off": `visitors: off, sign_secret: "{env.SIGN_SECRET}"`,
	} {
		t.Run(name, func(t *testing.T) {
			eachForwardingWithVisitors(t, "optional", "", "", func(t *testing.T, g *gate) {
				token := sign(t, visitorRequest("v1"), time.Now())
				finish := g.startRequest("/api/answer", strings.Replace(policyQuestion("[[wait=600]]"), tokenAgent, token, 1))
				g.writeKeys(policyKeys(change))
				if r := finish(); r.status != http.StatusUnauthorized || !strings.Contains(r.body, "key_revoked") {
					t.Errorf("%d %s", r.status, r.body)
				}
			})
		})
	}
	eachForwardingWithVisitors(t, "optional", "", "", func(t *testing.T, g *gate) {
		finish := g.startRequest("/api/answer", policyQuestion("[[wait=600]]"))
		g.writeKeys(policyKeys(`visitors: required, sign_secret: "{env.SIGN_SECRET}"`))
		if r := finish(); r.status != http.StatusUnauthorized {
			t.Errorf("the key's own token after it was switched off: %d %s", r.status, r.body)
		}
	})
}

// Guesses of signed tokens count as failures of their address, and are not verified when there are too many.
func TestVisitorTokenGuesses(t *testing.T) {
	eachForwardingWithVisitors(t, "required", "", "limits {\nfailed_tokens 3/1h\n}", func(t *testing.T, g *gate) {
		valid := sign(t, visitorRequest("v1"), time.Now())
		for i := range 5 {
			want := "invalid_api_key"
			if i >= 3 {
				want = "rate_limited"
			}
			guess := sign(t, visitorRequest("v1"), time.Now().Add(time.Duration(i)*time.Second))
			checkErrorFormat(t, "/api/answer", g.ask("/api/answer", guess[:len(guess)-8]+"AAAAAAAA", "q", ""), want)
		}
		if r := g.ask("/api/answer", valid, "q", ""); r.status != http.StatusTooManyRequests {
			t.Errorf("a new token from the same address: %d", r.status)
		}
	})
}
