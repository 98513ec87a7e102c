package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/docsgate/docsgate/internal/docsgpttest"
)

// Credentials of the second DocsGPT. Both DocsGPTs have keys with the same token and ID.
const (
	supportAgent  = "canary-agent-support"
	supportAccess = "dgpt_pat_canary-support"
	tokenSupport  = "canary-token-support"
)

// backendsTest is a gate with two DocsGPTs: the first site is in front of the default one, the second in front of the one named
// "support".
type backendsTest struct {
	*storeTest
	support     *docsgpttest.Backend
	supportKeys string // path of the key file
	supportHost string // address
}

func newBackendsTest(t *testing.T) *backendsTest {
	t.Helper()
	b := &backendsTest{storeTest: newStoreTest(t)}
	t.Setenv("AGENT_SUPPORT", supportAgent)
	t.Setenv("SUPPORT_TOKEN", supportAccess)
	b.support = docsgpttest.New(docsgpttest.Options{
		Label: "support", Keys: map[string][]string{supportAgent: {sourceAlpha}, agentAlpha: {sourceAlpha}},
		Tokens:  map[string][]string{supportAccess: nil},
		Sources: map[string]string{sourceAlpha: "support"},
	})
	server := httptest.NewServer(b.support)
	t.Cleanup(server.Close)
	b.supportHost, b.supportKeys = strings.TrimPrefix(server.URL, "http://"), filepath.Join(b.dir, "support.yaml")
	b.writeSupportKeys(fmt.Sprintf(`keys:
  - {id: agent, name: Support, sha256: %s, agent: "{env.AGENT_SUPPORT}"}
  - {id: source, sha256: %s, source: ["%s"]}
  - {id: support, sha256: %s, agent: "{env.AGENT_SUPPORT}"}
`, sha(tokenAgent), sha(tokenSource), sourceAlpha, sha(tokenSupport)))
	return b
}

func (b *backendsTest) writeSupportKeys(text string) {
	b.t.Helper()
	if err := os.WriteFile(b.supportKeys+".new", []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Rename(b.supportKeys+".new", b.supportKeys); err != nil {
		b.t.Fatal(err)
	}
}

// supportOptions are the options of the backend named "support".
func (b *backendsTest) supportOptions() string {
	return fmt.Sprintf("docsgate support {\nfeed store\nfeed file %s\nupstream_token {env.SUPPORT_TOKEN}\n}\n", b.supportKeys)
}

// sites returns the sites with the built-in upstream, or those whose next handler forwards.
func (b *backendsTest) sites(mode string) (first, second string) {
	return fmt.Sprintf(forwardModes[mode], b.address, ""), fmt.Sprintf(forwardModes[mode], b.supportHost, "backend support")
}

func (b *backendsTest) config(sites ...string) string {
	return strings.Replace(b.storeTest.config(sites...), "\tdocsgate {", b.supportOptions()+"\tdocsgate {", 1)
}

func (b *backendsTest) start(sites ...string) {
	b.t.Helper()
	if err := b.load(b.config(sites...)); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = caddy.Stop() })
}

// startStream sends a question to the second site. finish returns the response when its stream has ended.
func (b *backendsTest) startStream() (finish func() response) {
	b.t.Helper()
	done, url := make(chan response, 1), b.urls[1]
	go func() { done <- b.sendTo(url, http.MethodPost, "/stream", policyQuestion("[[gap=600]]")) }()
	waitFor(b.t, "the stream has begun", func() bool { return b.support.OpenStreams() == 1 })
	return func() response { return <-done }
}

// question sends a question to a site.
func (b *backendsTest) question(site int, token, question, more string) response {
	b.t.Helper()
	return b.sendTo(b.urls[site], http.MethodPost, "/stream",
		fmt.Sprintf(`{"question":%q,"history":"[]","api_key":%q%s}`, question, token, more))
}

// withoutRequestID returns the body of a response without the ID of the request.
func withoutRequestID(r response) string {
	return strings.ReplaceAll(r.body, r.header.Get("X-Request-Id"), "")
}

// eachBackendsMode runs a test in each forward mode. env are environment variables, as pairs of name and value.
func eachBackendsMode(t *testing.T, test func(t *testing.T, b *backendsTest), env ...string) {
	t.Helper()
	for mode := range forwardModes {
		t.Run(mode, func(t *testing.T) {
			b := newBackendsTest(t)
			for i := 0; i < len(env); i += 2 {
				t.Setenv(env[i], env[i+1])
			}
			b.start(b.sites(mode))
			test(t, b)
		})
	}
}

// A key of one DocsGPT is unknown at the site of another, which gets no request.
func TestBackendsDoNotShareKeys(t *testing.T) {
	eachBackendsMode(t, func(t *testing.T, b *backendsTest) {
		for site, token := range []string{tokenSupport, tokenMany} {
			unknown := b.question(site, "canary-token-unknown", "q", "")
			r := b.question(site, token, "q", "")
			if r.status != http.StatusUnauthorized || !strings.Contains(r.body, `"code":"invalid_api_key"`) || withoutRequestID(r) != withoutRequestID(unknown) {
				t.Errorf("site %d: %d %s, want that of an unknown key: %s", site, r.status, r.body, unknown.body)
			}
		}
		if n := len(b.backend.Calls()) + len(b.support.Calls()); n > 0 {
			t.Errorf("the backends got %d requests", n)
		}
	})
}

// The same token is another key at each DocsGPT, with the credential of that DocsGPT.
func TestBackendsDoNotShareCredentials(t *testing.T) {
	eachBackendsMode(t, func(t *testing.T, b *backendsTest) {
		for _, token := range []string{tokenAgent, tokenSource} {
			for site := range 2 {
				if r := b.question(site, token, "q", ""); r.status != http.StatusOK {
					t.Errorf("%s at site %d: %d %s", token, site, r.status, r.body)
				}
			}
		}
		for name, c := range map[string]struct {
			backend     *docsgpttest.Backend
			own, others []string
		}{
			"default": {b.backend, []string{agentAlpha, access}, []string{supportAgent, supportAccess}},
			"support": {b.support, []string{supportAgent, supportAccess}, []string{agentAlpha, access}},
		} {
			var all strings.Builder
			for _, call := range c.backend.Calls() {
				fmt.Fprintf(&all, "%s %v %s\n", call.RawQuery, call.Header, call.Body)
			}
			for _, credential := range c.own {
				if !strings.Contains(all.String(), credential) {
					t.Errorf("%s did not get %s", name, credential)
				}
			}
			for _, credential := range c.others {
				if strings.Contains(all.String(), credential) {
					t.Errorf("%s got %s", name, credential)
				}
			}
		}
		if log := b.logs(); !strings.Contains(log, `"backend":"support"`) || strings.Contains(log, supportAccess) {
			t.Error("the log does not name the backend, or contains its credential")
		}
	})
}

// An ID that was signed for a key of one DocsGPT is not valid for the key with the same ID, token and agent at another.
func TestBackendsDoNotShareSignedIDs(t *testing.T) {
	eachBackendsMode(t, func(t *testing.T, b *backendsTest) {
		ids := [2]string{}
		for site := range 2 {
			ids[site] = b.question(site, tokenAgent, "q", "").conversation(t)
		}
		for site := range 2 {
			b.backend.Reset()
			b.support.Reset()
			foreign := ids[1-site]
			r := b.sendTo(b.urls[site], http.MethodPost, "/api/feedback",
				fmt.Sprintf(`{"feedback":"LIKE","conversation_id":%q,"question_index":0,"api_key":%q}`, foreign, tokenAgent))
			if r.status != http.StatusNotFound || !strings.Contains(r.body, "conversation_not_found") {
				t.Errorf("site %d: %d %s", site, r.status, r.body)
			}
			if n := len(b.backend.Calls()) + len(b.support.Calls()); n > 0 {
				t.Errorf("the backends got %d requests", n)
			}
			b.question(site, tokenAgent, "q", `,"conversation_id":"`+foreign+`"`)
			for _, call := range append(b.backend.Calls(), b.support.Calls()...) {
				if strings.Contains(string(call.Body), bareID(t, foreign)) {
					t.Errorf("site %d forwarded the ID of another: %s", site, call.Body)
				}
			}
		}
	}, "AGENT_SUPPORT", agentAlpha)
}

// The counters of keys with the same ID are separate.
func TestBackendsDoNotShareLimits(t *testing.T) {
	b := newBackendsTest(t)
	limited := "docsgate %s {\n%s\nlimits {\nrequests 2/1h\nquestions_per_day 2\n}\n}\n"
	b.start(fmt.Sprintf(limited, b.address, ""), fmt.Sprintf(limited, b.supportHost, "backend support"))
	for range 2 {
		b.question(0, tokenAgent, "q", "")
	}
	for site, want := range []int{http.StatusTooManyRequests, http.StatusOK} {
		if r := b.question(site, tokenAgent, "q", ""); r.status != want {
			t.Errorf("site %d: %d %s", site, r.status, r.body)
		}
	}
}

// Limits of requests in flight are those of an upstream, and of a key of a backend.
func TestBackendsDoNotShareSlots(t *testing.T) {
	eachUpstream := map[string]func(b *backendsTest) string{
		"two upstreams": func(b *backendsTest) string { return b.supportHost },
		"one upstream":  func(b *backendsTest) string { return b.address }, // whose total is shared
	}
	for name, upstream := range eachUpstream {
		t.Run(name, func(t *testing.T) {
			b := newBackendsTest(t)
			t.Setenv("AGENT_SUPPORT", agentBeta) // known at the first DocsGPT
			if name == "two upstreams" {
				t.Setenv("AGENT_SUPPORT", supportAgent)
			}
			limited := "docsgate %s {\n%s\nmax_in_flight 2\nmax_in_flight_per_key 1\nqueue 0\n}\n"
			b.start(fmt.Sprintf(limited, b.address, ""), fmt.Sprintf(limited, upstream(b), "backend support"))
			finish := b.startRequest("/stream", policyQuestion("[[gap=600]]"))
			if r := b.question(0, tokenAgent, "q", ""); r.status != http.StatusTooManyRequests {
				t.Errorf("the key's second request: %d %s", r.status, r.body)
			}
			if r := b.question(1, tokenAgent, "q", ""); r.status != http.StatusOK {
				t.Errorf("the other backend's key: %d %s", r.status, r.body)
			}
			b.writeKeys("keys: []\n")
			finish()
		})
	}
}

// A change of the keys of one DocsGPT ends only its own streams.
func TestBackendsRevokeSeparately(t *testing.T) {
	b := newBackendsTest(t)
	b.start(b.sites("built-in"))
	finish := b.startRequest("/stream", policyQuestion("[[gap=600]]"))
	b.writeSupportKeys("keys: []\n")
	waitFor(t, "the key is revoked at support", func() bool { return b.question(1, tokenAgent, "q", "").status == http.StatusUnauthorized })
	if n := b.backend.OpenStreams(); n != 1 {
		t.Errorf("%d streams at the other DocsGPT", n)
	}
	b.writeKeys("keys: []\n")
	if r := finish(); !strings.Contains(r.body, `"code":"key_revoked"`) {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// A reload that adds or removes a backend does not affect the streams of the others. After it was removed and added again, its own
// streams follow its keys.
func TestBackendsAreAddedAndRemoved(t *testing.T) {
	b := newBackendsTest(t)
	first, second := b.sites("built-in")
	b.start(first)
	load := func(config string) {
		t.Helper()
		if err := b.load(config); err != nil {
			t.Fatal(err)
		}
	}
	finish := b.startRequest("/stream", policyQuestion("[[gap=600]]"))
	load(b.config(first, second))
	finishOther := b.startStream()
	load(b.storeTest.config(first))
	if b.backend.OpenStreams() != 1 || b.support.OpenStreams() != 1 {
		t.Errorf("%d and %d streams after the backend was removed", b.backend.OpenStreams(), b.support.OpenStreams())
	}
	load(b.config(first, second))
	b.writeSupportKeys("keys: []\n")
	if r := finishOther(); !strings.Contains(r.body, `"code":"key_revoked"`) {
		t.Errorf("the stream of the backend ended with %d %s", r.status, r.body)
	}
	if n := b.backend.OpenStreams(); n != 1 {
		t.Errorf("%d streams at the other DocsGPT", n)
	}
	b.writeKeys("keys: []\n")
	if r := finish(); !strings.Contains(r.body, `"code":"key_revoked"`) {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// Each console and each API has only the keys of its backend, and its own file.
func TestBackendsAreManagedSeparately(t *testing.T) {
	b := newBackendsTest(t)
	t.Setenv("ADMIN", adminToken)
	first, second := b.sites("built-in")
	console := "docsgate_console {\nadmin_token {env.ADMIN}\n%s\n}\n"
	b.start(first, second, fmt.Sprintf(console, ""), fmt.Sprintf(console, "backend support"))
	const auth = "Bearer " + adminToken
	tokens := [2]string{}
	for i := range 2 {
		r := b.sendTo(b.urls[2+i], http.MethodPost, "/v1/keys", fmt.Sprintf(`{"name":"made at %d","source":%q}`, i, sourceAlpha), "Authorization", auth)
		var made struct{ Token string }
		if err := json.Unmarshal([]byte(r.body), &made); err != nil || r.status != http.StatusCreated {
			t.Fatalf("%d %s", r.status, r.body)
		}
		tokens[i] = made.Token
	}
	for i := range 2 {
		list := b.sendTo(b.urls[2+i], http.MethodGet, "/v1/keys", "", "Authorization", auth).body
		_, ofAdmin := b.call(http.MethodGet, [2]string{"", "/backends/support"}[i]+"/v1/keys", "")
		text, _ := json.Marshal(ofAdmin)
		for where, list := range map[string]string{"console": list, "admin endpoint": string(text)} {
			if !strings.Contains(list, fmt.Sprintf("made at %d", i)) || strings.Contains(list, fmt.Sprintf("made at %d", 1-i)) {
				t.Errorf("%s of backend %d lists %s", where, i, list)
			}
		}
		for site := range 2 {
			want := map[bool]int{true: http.StatusOK, false: http.StatusUnauthorized}[site == i]
			if r := b.question(site, tokens[i], "q", ""); r.status != want {
				t.Errorf("key of %d at site %d: %d %s", i, site, r.status, r.body)
			}
		}
	}
	if _, err := os.Stat(filepath.Join(b.dir, "data", "caddy", "docsgate", "support", "keys.db")); err != nil {
		t.Error(err)
	}
	if status, answer := b.call(http.MethodGet, "/backends/nobody/v1/keys", ""); status != http.StatusNotFound {
		t.Errorf("an unknown backend: %d %v", status, answer)
	}
	if status, answer := b.call(http.MethodGet, "/backends/support/ready", ""); status != http.StatusOK || len(answer["feeds"].([]any)) != 2 {
		t.Errorf("%d %v", status, answer)
	}
	status, answer := b.call(http.MethodGet, "/ready", "")
	// The default backend has a check of the process in addition to those that both have: feeds, store, queue and upstream.
	if text, _ := json.Marshal(answer["checks"]); status != http.StatusOK || strings.Count(string(text), `"backend":"support"`) != 4 || len(answer["checks"].([]any)) != 9 {
		t.Errorf("%d %s", status, text)
	}
	if text, _ := json.Marshal(answer["feeds"]); strings.Count(string(text), `"backend":"support"`) != 2 || len(answer["feeds"].([]any)) != 4 {
		t.Errorf("feeds: %s", text)
	}
}

// Metrics of the default backend have the labels that they have without others.
func TestMetricsOfBackends(t *testing.T) {
	eachBackendsMode(t, func(t *testing.T, b *backendsTest) {
		const allowed = `caddy_docsgate_auth_decisions_total{backend="support",endpoint="stream",reason="allowed"}`
		before, _ := strconv.Atoi(b.metric(allowed))
		b.question(0, tokenAgent, "q", "")
		b.question(1, tokenSupport, "q", "")
		for metric, want := range map[string]string{
			allowed:                               strconv.Itoa(before + 1),
			`caddy_docsgate_keys{state="active"}`: "4",
			`caddy_docsgate_keys{backend="support",state="active"}`:                       "3",
			`caddy_docsgate_feed_up{backend="support",feed="file:` + b.supportKeys + `"}`: "1",
		} {
			if got := b.metric(metric); got != want {
				t.Errorf("%s is %q, want %s", metric, got, want)
			}
		}
	})
}

func TestInvalidBackends(t *testing.T) {
	for name, c := range map[string]struct{ options, site, want string }{
		"the same store":               {"docsgate a {\nfeed store %[1]s\n}\ndocsgate b {\nfeed store %[1]s\n}", "backend a", "backend b: feed store: %[1]s is already the key store of the backend a"},
		"the store of the default":     {"docsgate a {\nfeed store DEFAULT\n}", "backend a", "is already the key store of the default backend"},
		"a feed that cannot be loaded": {"docsgate a {\nfeed file missing.yaml\n}", "backend a", "backend a: "},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBackendsTest(t)
			path := filepath.Join(b.dir, "other.db")
			options := strings.ReplaceAll(strings.ReplaceAll(c.options, "%[1]s", path), "DEFAULT", b.store)
			config := strings.Replace(b.storeTest.config("docsgate "+b.supportHost+" {\n"+c.site+"\n}\n"), "\tdocsgate {", options+"\n\tdocsgate {", 1)
			err := b.load(config)
			if want := strings.ReplaceAll(c.want, "%[1]s", path); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %s", err, want)
			}
		})
	}
}

// A configuration in JSON is checked when it is loaded.
func TestUnknownBackendInJSON(t *testing.T) {
	for name, c := range map[string]struct{ handler, want string }{
		"unknown":  {`"backend":"sales",`, `unknown backend "sales": must be one of support`},
		"required": {"", "backend is required, since there is no default one: must be one of support"},
	} {
		t.Run(name, func(t *testing.T) {
			newGate(t)
			err := caddy.Load([]byte(`{"admin":{"disabled":true,"config":{"persist":false}},"apps":{
				"docsgate":{"backends":{"support":{}},"quota_time_zone":"Europe/Berlin"},
				"http":{"servers":{"s":{"listen":["127.0.0.1:0"],"routes":[{"handle":[
					{"handler":"docsgate",`+c.handler+`"upstream":"127.0.0.1:1"}]}]}}}}}`), true)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}

// A backend that no site uses is probably a mistake, but its keys can be managed.
func TestUnusedBackendIsLogged(t *testing.T) {
	b := newBackendsTest(t)
	first, _ := b.sites("built-in")
	b.start(first)
	if log := b.logs(); !strings.Contains(log, "no site uses this backend") {
		t.Error("no warning")
	}
	if status, _ := b.call(http.MethodGet, "/backends/support/v1/keys", ""); status != http.StatusOK {
		t.Errorf("status %d", status)
	}
}
