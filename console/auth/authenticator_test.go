package auth

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
)

const adminToken = "0123456789abcdef-admin"

// guardTest is an authenticator, with the requests that it has accepted.
type guardTest struct {
	t        testing.TB
	guard    *Authenticator
	now      time.Time
	reported []Rejection
	passed   []string // who, from
}

func newGuardTest(t testing.TB, set func(*Options)) *guardTest {
	t.Helper()
	d := &guardTest{t: t, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	o := Options{Now: func() time.Time { return d.now }, OnReject: func(r Rejection) { d.reported = append(d.reported, r) }}
	set(&o)
	var err error
	if d.guard, err = New(o); err != nil {
		t.Fatal(err)
	}
	return d
}

func withToken(o *Options) { o.Token = keys.NewSecret(adminToken) }

func onLoopback(o *Options) { o.Loopback = true }

// request returns a request from another machine. set modifies it.
func request(method, target string, set ...func(*http.Request)) *http.Request {
	r := httptest.NewRequest(method, target, http.NoBody)
	r.RemoteAddr = "192.0.2.7:4711"
	for _, change := range set {
		change(r)
	}
	return r
}

func header(pairs ...string) func(*http.Request) {
	return func(r *http.Request) {
		for i := 0; i < len(pairs); i += 2 {
			r.Header.Add(pairs[i], pairs[i+1])
		}
	}
}

func bearing(token string) func(*http.Request) { return header("Authorization", "Bearer "+token) }

// between sets the local and the remote address of the connection.
func between(remote string, local net.Addr) func(*http.Request) {
	return func(r *http.Request) {
		r.RemoteAddr = remote
		*r = *r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))
	}
}

var (
	here = between("127.0.0.1:4711", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 2020})
	form = header("Content-Type", "application/x-www-form-urlencoded")
)

func (d *guardTest) do(r *http.Request) *httptest.ResponseRecorder {
	d.t.Helper()
	rec := httptest.NewRecorder()
	d.guard.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := ActorOf(r)
		d.passed = append(d.passed, who.Name+" "+who.RemoteAddr)
		w.WriteHeader(http.StatusNoContent)
	})).ServeHTTP(rec, r)
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
	} {
		if got := rec.Header().Get(name); got != want {
			d.t.Errorf("%s: %s is %q", r.URL, name, got)
		}
	}
	if !strings.Contains(rec.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'") {
		d.t.Errorf("%s may be framed", r.URL)
	}
	if strings.Contains(rec.Body.String()+fmt.Sprint(rec.Header(), d.reported), adminToken) {
		d.t.Error("the token is in an answer or report")
	}
	return rec
}

func TestUnprotectedOptionsRejected(t *testing.T) {
	for name, o := range map[string]Options{
		"nothing at all":      {},
		"a short token":       {Token: keys.NewSecret("short")},
		"a token with blanks": {Token: keys.NewSecret("sixteen or more blanks")},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := New(o); err == nil || strings.Contains(err.Error(), "short\"") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestAuthentication(t *testing.T) {
	user := func(o *Options) {
		o.User = func(r *http.Request) (string, bool) {
			name := r.Header.Get("X-User")
			return name, name != ""
		}
	}
	unix := between("@", &net.UnixAddr{Name: "/run/console.sock", Net: "unix"})
	for name, tc := range map[string]struct {
		set    func(*Options)
		r      *http.Request
		status int
		who    string // or the reason of the rejection
	}{
		"the token":                      {withToken, request("GET", "/v1/keys", bearing(adminToken)), 204, "admin token 192.0.2.7"},
		"the scheme in another case":     {withToken, request("GET", "/v1/keys", header("Authorization", "bEARER  "+adminToken)), 204, "admin token 192.0.2.7"},
		"a wrong token":                  {withToken, request("GET", "/v1/keys", bearing(adminToken+"x")), 401, "wrong_token"},
		"an empty token":                 {withToken, request("GET", "/v1/keys", header("Authorization", "Bearer ")), 401, "wrong_token"},
		"the token twice":                {withToken, request("GET", "/v1/keys", bearing(adminToken), bearing("other")), 401, "no_credential"},
		"the token as basic":             {withToken, request("GET", "/v1/keys", header("Authorization", "Basic "+adminToken)), 401, "no_credential"},
		"nothing":                        {withToken, request("GET", "/v1/keys"), 401, "no_credential"},
		"nothing, on this machine":       {withToken, request("GET", "/v1/keys", here), 401, "no_credential"},
		"a user of basic_auth":           {user, request("GET", "/v1/keys", header("X-User", "alice")), 204, "alice 192.0.2.7"},
		"no user of basic_auth":          {user, request("GET", "/v1/keys"), 401, "no_credential"},
		"no user, though from here":      {user, request("GET", "/v1/keys", here), 401, "no_credential"},
		"a token where there is none":    {user, request("GET", "/v1/keys", bearing("")), 401, "no_credential"},
		"this machine":                   {onLoopback, request("GET", "http://localhost:2020/v1/keys", here), 204, "loopback 127.0.0.1"},
		"this machine by its address":    {onLoopback, request("GET", "http://127.0.0.1:2020/v1/keys", here), 204, "loopback 127.0.0.1"},
		"this machine over IPv6":         {onLoopback, request("GET", "http://[::1]:2020/v1/keys", between("[::1]:4711", &net.TCPAddr{IP: net.IPv6loopback, Port: 2020})), 204, "loopback ::1"},
		"a name below localhost":         {onLoopback, request("GET", "http://console.localhost./v1/keys", here), 204, "loopback 127.0.0.1"},
		"a unix socket, whatever name":   {onLoopback, request("GET", "http://anything/v1/keys", unix), 204, "loopback "},
		"a configured name":              {func(o *Options) { o.Loopback, o.Hosts = true, []string{"Console.Test"} }, request("GET", "http://console.test:2020/v1/keys", here), 204, "loopback 127.0.0.1"},
		"another name (DNS rebinding)":   {onLoopback, request("GET", "http://evil.example:2020/v1/keys", here), 403, "host_not_allowed"},
		"a name that only looks local":   {onLoopback, request("GET", "http://localhost.evil.example/v1/keys", here), 403, "host_not_allowed"},
		"no name":                        {onLoopback, request("GET", "/v1/keys", here, func(r *http.Request) { r.Host = "" }), 403, "host_not_allowed"},
		"from elsewhere":                 {onLoopback, request("GET", "http://localhost/v1/keys", between("192.0.2.7:4711", &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)})), 403, "not_loopback"},
		"from here to another address":   {onLoopback, request("GET", "http://localhost/v1/keys", between("127.0.0.1:1", &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1)})), 403, "not_loopback"},
		"nobody knows to which address":  {onLoopback, request("GET", "http://localhost/v1/keys", func(r *http.Request) { r.RemoteAddr = "127.0.0.1:1" }), 403, "not_loopback"},
		"over a proxy":                   {onLoopback, request("GET", "http://localhost/v1/keys", here, header("X-Forwarded-For", "192.0.2.7")), 403, "proxied_request"},
		"over a proxy of RFC 7239":       {onLoopback, request("GET", "http://localhost/v1/keys", here, header("Forwarded", "for=192.0.2.7")), 403, "proxied_request"},
		"over a proxy on a unix socket":  {onLoopback, request("GET", "http://localhost/v1/keys", unix, header("Via", "1.1 proxy")), 403, "proxied_request"},
		"over a proxy that says nothing": {onLoopback, request("GET", "http://localhost/v1/keys", here, func(r *http.Request) { r.ProtoMinor = 0 }), 403, "proxied_request"},
		"a token over a proxy":           {func(o *Options) { withToken(o); onLoopback(o) }, request("GET", "http://x/v1/keys", bearing(adminToken), header("Via", "1.1 proxy")), 204, "admin token 192.0.2.7"},
		"a wrong token from here":        {func(o *Options) { withToken(o); onLoopback(o) }, request("GET", "http://localhost/v1/keys", here, bearing("wrong")), 401, "wrong_token"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newGuardTest(t, tc.set)
			rec := d.do(tc.r)
			if rec.Code != tc.status {
				t.Fatalf("status %d, want %d: %s", rec.Code, tc.status, rec.Body)
			}
			if rec.Code == http.StatusNoContent {
				if len(d.passed) != 1 || d.passed[0] != tc.who || d.reported != nil {
					t.Errorf("passed %q, want %q; reported %v", d.passed, tc.who, d.reported)
				}
				return
			}
			if d.passed != nil || len(d.reported) != 1 || string(d.reported[0].Reason) != tc.who {
				t.Errorf("passed %q; reported %v, want %s", d.passed, d.reported, tc.who)
			}
			var p struct {
				Status       int
				Code, Detail string
			}
			if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || p.Status != tc.status || p.Code == "" || p.Detail == "" ||
				rec.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("%v %s", rec.Header(), rec.Body)
			}
			if (rec.Header().Get("WWW-Authenticate") != "") != (tc.status == 401) {
				t.Errorf("WWW-Authenticate is %q", rec.Header().Get("WWW-Authenticate"))
			}
		})
	}
}

func TestCSRF(t *testing.T) {
	d := newGuardTest(t, func(o *Options) {
		withToken(o)
		o.User = func(*http.Request) (string, bool) { return "alice", true }
	})
	for name, tc := range map[string]struct {
		r  *http.Request
		ok bool
	}{
		"a form of the console":            {request("POST", "http://gate.test/new", form, header("Sec-Fetch-Site", "same-origin")), true},
		"a form of an older browser":       {request("POST", "http://gate.test/new", form, header("Origin", "http://gate.test")), true},
		"no browser":                       {request("POST", "http://gate.test/v1/keys"), true},
		"a form of another site":           {request("POST", "http://gate.test/new", form, header("Sec-Fetch-Site", "cross-site")), false},
		"a form of a neighbour":            {request("POST", "http://gate.test/new", form, header("Sec-Fetch-Site", "same-site")), false},
		"a form of another site, long ago": {request("POST", "http://gate.test/new", form, header("Origin", "http://evil.test")), false},
		"a form without an origin":         {request("POST", "http://gate.test/new", form, header("Origin", "null")), false},
		"a link to a page":                 {request("GET", "http://gate.test/", header("Sec-Fetch-Site", "cross-site")), true},
		"an image that is a backup":        {request("GET", "http://gate.test/v1/backup", header("Sec-Fetch-Site", "cross-site")), false},
		"a program with the token":         {request("POST", "http://gate.test/v1/keys", bearing(adminToken), header("Origin", "http://evil.test")), true},
	} {
		t.Run(name, func(t *testing.T) {
			d.t = t
			if rec := d.do(tc.r); (rec.Code == http.StatusNoContent) != tc.ok || !tc.ok && rec.Code != http.StatusForbidden {
				t.Errorf("status %d", rec.Code)
			}
		})
	}
}

func signIn(t *testing.T, d *guardTest, target string, overTLS bool) *http.Cookie {
	t.Helper()
	r := request("POST", target)
	if overTLS {
		r.TLS = &tls.ConnectionState{}
	}
	rec := httptest.NewRecorder()
	if err := d.guard.SignIn(rec, r, adminToken); err != nil {
		t.Fatal(err)
	}
	cookies := rec.Result().Cookies()
	if len(cookies) != 1 {
		t.Fatalf("cookies %v", cookies)
	}
	return cookies[0]
}

func TestSessions(t *testing.T) {
	d := newGuardTest(t, withToken)
	cookie := signIn(t, d, "http://gate.test/login", false)
	if !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Secure || cookie.Path != "/" || cookie.Domain != "" {
		t.Errorf("%v", cookie)
	}
	if strings.Contains(cookie.Value, adminToken) {
		t.Error("the cookie contains the token")
	}
	with := func(c *http.Cookie) func(*http.Request) { return func(r *http.Request) { r.AddCookie(c) } }
	if rec := d.do(request("GET", "/", with(cookie))); rec.Code != 204 || d.passed[0] != "admin token 192.0.2.7" {
		t.Fatalf("status %d, %q", rec.Code, d.passed)
	}
	forged := *cookie
	forged.Value = cookie.Value[:len(cookie.Value)-1] + "_"
	if rec := d.do(request("GET", "/v1/keys", with(&forged))); rec.Code != 401 {
		t.Errorf("a forged cookie: status %d", rec.Code)
	}
	d.now = d.now.Add(sessionTTL - time.Second)
	if rec := d.do(request("GET", "/", with(cookie))); rec.Code != 204 {
		t.Errorf("before its end: status %d", rec.Code)
	}
	d.now = d.now.Add(time.Second)
	if rec := d.do(request("GET", "/v1/keys", with(cookie))); rec.Code != 401 {
		t.Errorf("after 12 hours: status %d", rec.Code)
	}

	cookie = signIn(t, d, "https://gate.test/login", true)
	if cookie.Name != "__Host-docsgate" || !cookie.Secure {
		t.Errorf("over TLS: %v", cookie)
	}
	overTLS := func(r *http.Request) { r.TLS = &tls.ConnectionState{} }
	if rec := d.do(request("GET", "/", with(cookie), overTLS)); rec.Code != 204 {
		t.Errorf("over TLS: status %d", rec.Code)
	}
	rec := httptest.NewRecorder()
	if err := d.guard.SignOut(rec, request("POST", "/logout", with(cookie), overTLS)); err != nil {
		t.Error(err)
	}
	if got := rec.Result().Cookies(); len(got) != 1 || got[0].MaxAge >= 0 {
		t.Errorf("signing out sets %v", got)
	}
	if rec := d.do(request("GET", "/v1/keys", with(cookie), overTLS)); rec.Code != 401 {
		t.Errorf("after signing out: status %d", rec.Code)
	}
}

func TestSessionsAreBounded(t *testing.T) {
	s := &Sessions{}
	var token keys.Digest
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	create := func(at time.Time) string {
		value, err := s.create(t.Context(), token, at)
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	has := func(value string) bool {
		ok, err := s.has(t.Context(), token, value, now)
		return ok && err == nil
	}
	first := create(now)
	var last string
	for i := range maxSessions {
		last = create(now.Add(time.Duration(i+1) * time.Second))
	}
	if len(s.expires) != maxSessions || has(first) || !has(last) {
		t.Errorf("%d sessions; the first is there: %v, the last: %v", len(s.expires), has(first), has(last))
	}
}

func TestBrowsersRedirectedToLogin(t *testing.T) {
	open := func(r *http.Request) bool { return r.URL.Path == "/login" }
	html := header("Accept", "text/html,application/xhtml+xml,application/json;q=0.1")
	d := newGuardTest(t, func(o *Options) { withToken(o); o.IsPublic, o.Base = open, "/console" })
	rec := d.do(request("GET", "/keys/key_1?x=1&y=2", html))
	to, err := url.Parse(rec.Header().Get("Location"))
	if rec.Code != http.StatusSeeOther || err != nil || to.Path != "/console/login" || to.Query().Get("back") != "/console/keys/key_1?x=1&y=2" {
		t.Errorf("%d %v", rec.Code, to)
	}
	if rec := d.do(request("POST", "/new", html, header("Sec-Fetch-Site", "same-origin"))); rec.Header().Get("Location") != "/console/login" {
		t.Errorf("%d %s", rec.Code, rec.Header().Get("Location"))
	}
	if rec := d.do(request("GET", "/login", html)); rec.Code != 204 || strings.Contains(d.passed[0], "admin") {
		t.Errorf("the login page: %d %q", rec.Code, d.passed)
	}
	if rec := d.do(request("GET", "/keys", header("Accept", "application/json"))); rec.Code != 401 || rec.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("a program: %d %v", rec.Code, rec.Header())
	}
	// Without an admin token there is no sign-in.
	var rejected string
	d = newGuardTest(t, func(o *Options) {
		onLoopback(o)
		o.ErrorPage = func(w http.ResponseWriter, _ *http.Request, status int, text string) {
			rejected = text
			w.WriteHeader(status)
		}
	})
	if rec := d.do(request("GET", "/", html)); rec.Code != http.StatusForbidden || !strings.Contains(rejected, "this machine only") {
		t.Errorf("%d %q", rec.Code, rejected)
	}
	rec = httptest.NewRecorder()
	if err := d.guard.SignIn(rec, request("POST", "/login"), ""); err == nil || len(rec.Result().Cookies()) > 0 {
		t.Errorf("signed in without a token: %v", err)
	}
}
