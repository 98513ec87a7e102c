package caddymodule_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/caddymodule"
)

const adminToken = "canary-admin-token-of-the-console"

// passwordHash is the bcrypt hash of "canary-password", with cost 4.
const passwordHash = "$2a$04$lAYiMVOPp/49eod47PeQCOhBlls1zElJ7H7AnNwKADVDvhug11aua"

// A configuration with an unprotected console is rejected, regardless of the console's place in the routes.
func TestConsoleRequiresProtection(t *testing.T) {
	const everywhere = "0.0.0.0"
	tests := map[string]struct {
		bind, site string
		rejected   bool
	}{
		"nothing":                            {everywhere, "docsgate_console", true},
		"in a handle block":                  {everywhere, "handle /a/* {\ndocsgate_console\n}", true},
		"in a named route":                   {everywhere, "invoke console", true},
		"in handle_errors":                   {everywhere, "error 500\nhandle_errors {\ndocsgate_console\n}", true},
		"with basic_auth elsewhere":          {everywhere, "handle /a/* {\nbasic_auth {\nalice " + passwordHash + "\n}\n}\nhandle {\ndocsgate_console\n}", true},
		"one with and one without a token":   {everywhere, "handle /a/* {\ndocsgate_console {\nadmin_token {env.ADMIN}\n}\n}\nhandle {\ndocsgate_console\n}", true},
		"with an admin token":                {everywhere, "docsgate_console {\nadmin_token {env.ADMIN}\n}", false},
		"behind basic_auth":                  {everywhere, "basic_auth {\nalice " + passwordHash + "\n}\ndocsgate_console", false},
		"behind basic_auth in a named route": {everywhere, "basic_auth {\nalice " + passwordHash + "\n}\ninvoke console", false},
		"a loopback listener":                {"127.0.0.1", "docsgate_console", false},
		"IPv6":                               {"::1", "docsgate_console", false},
		"in intercept":                       {everywhere, "intercept {\nhandle_response {\ndocsgate_console\n}\n}\nrespond ok", true},
		"in reverse_proxy":                   {everywhere, "reverse_proxy 127.0.0.1:9 {\nhandle_response {\ndocsgate_console\n}\n}", true},
		"in intercept, behind basic_auth":    {everywhere, "basic_auth {\nalice " + passwordHash + "\n}\nintercept {\nhandle_response {\ndocsgate_console\n}\n}\nrespond ok", false},
		"loopback and another address":       {"127.0.0.1 0.0.0.0", "docsgate_console", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			i := newStoreTest(t)
			t.Setenv("ADMIN", adminToken)
			i.start("respond ok\n")
			err := i.load(i.config("respond ok\n") + "&(console) {\ndocsgate_console\n}\nhttp://console.test:0 {\nbind " + test.bind + "\n" + test.site + "\n}\n")
			if rejected := err != nil && strings.Contains(err.Error(), "would be accessible without authentication"); rejected != test.rejected ||
				!rejected && err != nil {
				t.Errorf("rejected %t, %v; want %t", rejected, err, test.rejected)
			}
		})
	}
}

func TestConsoleSettings(t *testing.T) {
	tests := map[string]struct{ block, want string }{
		"no store":        {"{\nadmin_token {env.ADMIN}\n}", "feed store"},
		"a short token":   {"{\nadmin_token {env.SHORT}\n}", "at least 16 characters"},
		"an empty token":  {"{\nadmin_token {env.NONE}\n}", "admin_token"},
		"a clear token":   {"{\nadmin_token secret\n}", "must not be in the configuration"},
		"URL with a path": {"{\npublic_url https://ask.example.com/x\n}", "public_url must be the URL"},
		"agents twice":    {"{\nagents {env.A}\nagents {env.B}\n}", "agents is already specified"},
		"no agents":       {"{\nagents\n}", "wrong argument count"},
		"an agent's key":  {"{\nagents {env.A} 0f0e0d0c-0b0a-0908-0706-050403020100\n}", "number 2 is not a reference"},
		"URL twice":       {"{\npublic_url http://a\npublic_url http://b\n}", "public_url is already specified"},
		"a former name":   {"{\ngate http://a\n}", "unrecognized subdirective 'gate': it was renamed to public_url"},
		"unknown":         {"{\nopen\n}", "unrecognized subdirective 'open': must be one of admin_token, public_url, docsgpt_url, agents, allowed_hosts"},
		"an argument":     {"x", "wrong argument count"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			t.Setenv("ADMIN", adminToken)
			t.Setenv("SHORT", "0123456789abcde")
			err := g.load(g.config("docsgate_console " + test.block + "\n"))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %s", err, test.want)
			}
		})
	}
}

// The second site is the console.
func TestConsoleAuthentication(t *testing.T) {
	const made = `{"name":"k","source":"` + sourceAlpha + `"}`
	basic := "Basic YWxpY2U6Y2FuYXJ5LXBhc3N3b3Jk" // alice:canary-password
	tests := map[string]struct {
		site    string
		headers []string
		status  int
		who     string // in the audit trail
	}{
		"token":                   {"{\nadmin_token {env.ADMIN}\n}", []string{"Authorization", "Bearer " + adminToken}, 201, "admin token"},
		"a wrong token":           {"{\nadmin_token {env.ADMIN}\n}", []string{"Authorization", "Bearer " + adminToken + "x"}, 401, ""},
		"no token":                {"{\nadmin_token {env.ADMIN}\n}", nil, 401, ""},
		"local":                   {"", nil, 201, "loopback"},
		"another host name":       {"", []string{"Host", "attacker.example"}, 403, ""},
		"a name of its own":       {"{\nallowed_hosts keys.test\n}", []string{"Host", "keys.test"}, 201, "loopback"},
		"from another site":       {"", []string{"Origin", "https://attacker.example", "Sec-Fetch-Site", "cross-site"}, 403, ""},
		"through a proxy":         {"", []string{"X-Forwarded-For", "203.0.113.7"}, 403, ""},
		"basic_auth, right":       {"BASIC", []string{"Authorization", basic}, 201, "alice"},
		"basic_auth, nobody":      {"BASIC", nil, 401, ""},
		"basic_auth, other site":  {"BASIC", []string{"Authorization", basic, "Origin", "https://attacker.example"}, 403, ""},
		"basic_auth for one path": {"basic_auth /only/* {\nalice " + passwordHash + "\n}\nPUBLIC", nil, 401, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			i := newStoreTest(t)
			t.Setenv("ADMIN", adminToken)
			site := "docsgate_console " + test.site + "\n"
			config := i.config(fmt.Sprintf(forwardModes["built-in"], i.address, ""), site)
			config = strings.ReplaceAll(config, "docsgate_console BASIC", "basic_auth {\nalice "+passwordHash+"\n}\ndocsgate_console")
			if at := strings.Index(config, "docsgate_console basic_auth"); at >= 0 { // a listener that is reachable from other machines
				config = strings.Replace(config, "docsgate_console basic_auth", "basic_auth", 1)
				config = strings.Replace(config, "PUBLIC", "docsgate_console", 1)
				config = strings.Replace(config, "bind 127.0.0.2", "bind 127.0.0.2 0.0.0.0", 1)
			}
			if err := i.load(config); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(i.stop)
			r := i.sendTo(i.urls[1], http.MethodPost, "/v1/keys", made, test.headers...)
			if r.status != test.status {
				t.Fatalf("%d %s, want %d", r.status, r.body, test.status)
			}
			if test.status == 401 && !strings.Contains(fmt.Sprint(r.header["Www-Authenticate"]), "B") {
				t.Errorf("no challenge: %v", r.header)
			}
			if _, trail := i.call(http.MethodGet, "/v1/audit", ""); test.who != "" && !strings.Contains(fmt.Sprint(trail), "who:"+test.who) {
				t.Errorf("the audit trail does not contain %q: %v", test.who, trail)
			}
			if logged := i.logs(); strings.Contains(logged, adminToken) {
				t.Error("the admin token was logged")
			}
		})
	}
}

// The page offers to sign in, lists the sources of DocsGPT, and sends a test question through the gate.
func TestConsolePage(t *testing.T) {
	i := newStoreTest(t)
	t.Setenv("ADMIN", adminToken)
	i.start(fmt.Sprintf(forwardModes["built-in"], i.address, ""),
		"docsgate_console {\nadmin_token {env.ADMIN}\npublic_url https://ask.example.com\n}\n")
	page := func(method, path, body string, headers ...string) response {
		return i.sendTo(i.urls[1], method, path, body, append([]string{
			"Accept", "text/html", "Content-Type", "", "Content-Type", "application/x-www-form-urlencoded",
		}, headers...)...)
	}
	if r := page("GET", "/", ""); r.status != http.StatusSeeOther && r.status != http.StatusUnauthorized {
		t.Errorf("without a session: %d", r.status)
	}
	r := page("POST", "/login", url.Values{"token": {adminToken}, "back": {"/"}}.Encode())
	cookie, _, _ := strings.Cut(r.header.Get("Set-Cookie"), ";")
	if r.status != http.StatusSeeOther || cookie == "" {
		t.Fatalf("signing in: %d %v %s", r.status, r.header, r.body)
	}
	if strings.Contains(cookie, adminToken) {
		t.Error("the cookie is the token")
	}
	if r := page("GET", "/new", "", "Cookie", cookie); r.status != 200 || !strings.Contains(r.body, sourceBeta) ||
		!strings.Contains(r.body, "beta") {
		t.Errorf("DocsGPT's sources are not offered: %d %s", r.status, r.body)
	}
	_, token := i.create(`{"name":"k","source":"` + sourceAlpha + `"}`)
	tried := page("POST", "/try", url.Values{"token": {token}, "question": {"Which source?"}}.Encode(), "Cookie", cookie)
	if tried.status != 200 || !strings.Contains(tried.body, "alpha") {
		t.Errorf("trying a key: %d %s", tried.status, tried.body)
	}
	if caddymodule.DefaultStorePath() == "" {
		t.Error("no default path of the store")
	}
}

// A gate before the console sets the key as the user, for access logs. A key must not give access to the console.
func TestConsoleIgnoresKeyAsUser(t *testing.T) {
	i := newStoreTest(t)
	t.Setenv("ADMIN", adminToken)
	i.start("route {\ndocsgate\nrewrite * /v1/keys\nmethod GET\ndocsgate_console {\nadmin_token {env.ADMIN}\n}\n}\n")
	r := i.ask("/api/answer", tokenAgent, "Q", "")
	if r.status == http.StatusOK || strings.Contains(r.body, `"requests_24h"`) {
		t.Errorf("a key gives access to the console: %d %s", r.status, r.body)
	}
	if logged := i.logs(); !strings.Contains(logged, `"no_credential"`) {
		t.Error("the console was not reached")
	}
}

// Sessions and responses for idempotency keys survive a reload of the configuration.
func TestConsoleSessionSurvivesReload(t *testing.T) {
	i := newStoreTest(t)
	t.Setenv("ADMIN", adminToken)
	sites := []string{fmt.Sprintf(forwardModes["built-in"], i.address, ""), "docsgate_console {\nadmin_token {env.ADMIN}\n}\n"}
	i.start(sites...)
	const form = "application/x-www-form-urlencoded"
	page := func(method, path, body, cookie string) response {
		return i.sendTo(i.urls[1], method, path, body, "Accept", "text/html", "Content-Type", "", "Content-Type", form, "Cookie", cookie)
	}
	signedIn := page("POST", "/login", url.Values{"token": {adminToken}}.Encode(), "")
	cookie, _, _ := strings.Cut(signedIn.header.Get("Set-Cookie"), ";")
	_, nonce, _ := strings.Cut(page("GET", "/new", "", cookie).body, `name="nonce" value="`)
	nonce, _, _ = strings.Cut(nonce, `"`)
	const draft = `{"name":"k","source":"` + sourceAlpha + `"}`
	create := func() response {
		return i.sendTo(i.urls[1], "POST", "/v1/keys", draft, "Authorization", "Bearer "+adminToken, "Idempotency-Key", "once")
	}
	first := create()

	if err := i.load(i.config(append(sites, "respond more\n")...)); err != nil {
		t.Fatal(err)
	}
	if again := create(); first.status != 201 || again.status != 201 || again.body != first.body {
		t.Errorf("%d %s, then %d %s", first.status, first.body, again.status, again.body)
	}
	made := page("POST", "/new", url.Values{"nonce": {nonce}, "name": {"typed"}, "sources": {sourceAlpha}, "lifetime": {"never"}}.Encode(), cookie)
	if made.status != 201 {
		t.Errorf("a form that was open: %d %s", made.status, made.header.Get("Location"))
	}

	t.Setenv("ADMIN", adminToken+"-another")
	if err := i.load(i.config(sites...)); err != nil {
		t.Fatal(err)
	}
	if r := page("GET", "/", "", cookie); r.status != http.StatusSeeOther {
		t.Errorf("a session of another token: %d", r.status)
	}
}

// A text that cannot be the ID of a key has no audit trail, and does not cause an error of the store.
func TestAuditUnknownKey(t *testing.T) {
	i := newStoreTest(t)
	i.start("respond ok\n", "docsgate_console\n")
	for _, key := range []string{"%00", strings.Repeat("a", 5000), "key_unknown"} {
		if r := i.sendTo(i.urls[1], http.MethodGet, "/v1/audit?key="+key, ""); r.status != 200 || r.body != `{"entries":[]}`+"\n" {
			t.Errorf("%.9s: %d %s", key, r.status, r.body)
		}
		r := i.sendTo(i.urls[1], http.MethodGet, "/audit?key="+key, "", "Accept", "text/html")
		if r.status != 200 || !strings.Contains(r.body, "There are no entries") {
			t.Errorf("%.9s, the page: %d %s", key, r.status, r.body)
		}
	}
}
