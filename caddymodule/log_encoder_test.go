package caddymodule_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// crash is a handler of a site that fails with all that it knows about a request. It logs the same first.
type crash struct {
	Panic bool `json:"panic,omitempty"`

	logger *zap.Logger
}

func init() {
	caddy.RegisterModule(new(crash))
	httpcaddyfile.RegisterHandlerDirective("crash", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next()
		return &crash{Panic: h.NextArg()}, nil
	})
	httpcaddyfile.RegisterDirectiveOrder("crash", httpcaddyfile.Before, "reverse_proxy") // after the gate
}

func (*crash) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.crash", New: func() caddy.Module { return new(crash) }}
}

func (c *crash) Provision(ctx caddy.Context) error {
	c.logger = ctx.Logger()
	return nil
}

func (c *crash) ServeHTTP(_ http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	err := fmt.Errorf("crash: %s %s %v %+v %q %s %v: %w", r.Method, r.URL, r.URL.Query(), r.Header, r.Host, body, r.Cookies(),
		&url.Error{Op: "Get", URL: r.RequestURI, Err: io.ErrUnexpectedEOF})
	c.logger.Debug(err.Error(), zap.Any("header", r.Header), zap.Any("query", r.URL.Query()), zap.Reflect("url", r.URL), zap.Error(err),
		zap.Object("request", caddyhttp.LoggableHTTPRequest{Request: r, ShouldLogCredentials: true}), zap.ByteString("body", body))
	if c.Panic {
		panic(err)
	}
	return caddyhttp.Error(http.StatusInternalServerError, err)
}

// spellings are ways to write a token in a path or a query.
var spellings = map[string]func(string) string{
	"as it is":       func(s string) string { return s },
	"encoded":        encodeAll,
	"encoded twice":  func(s string) string { return strings.ReplaceAll(encodeAll(s), "%", "%25") },
	"encoded partly": func(s string) string { return encodeAll(s[:3]) + s[3:] },
}

func encodeAll(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02X", s[i])
	}
	return b.String()
}

// targets are the places of a request target, with a %s for the token.
var targets = []string{
	"/stream?api_key=%s", "/stream?API_KEY=%s", "/stream?Api-Key=%s", "/stream?key=%s", "/stream?token=%s", "/stream?access_token=%s", "/stream?x=%s",
	"/stream?%s", "/stream?%s=1", "/stream?a=b;api_key=%s", "/stream?a[%s]=1", "/stream?api_key=a&api_key=%s", "/stream%%3Fapi_key=%s",
	"/stream%%253Fapi_key=%s", "/stream/%s", "/stream/%s/", "/%s/stream", "/%s", "//%s", "/stream;api_key=%s", "/api/%s/answer", "/stream/../%s",
	"/v1/models?api_key=%s", "/v1/models/%s", "/v1/%s", "/api/artifacts/%s", "/api/task_status?task_id=%s", "http://user:%s@host/stream",
	"http://host/%s", "http://%s/stream", "/stream#%s", "/docsgate/keys/%s",
}

// lines are header lines with a %s for the token.
var lines = []string{
	"Authorization: Bearer %s", "Authorization: bearer  %s", "Authorization: %s", "Authorization: Token %s", "Proxy-Authorization: Bearer %s",
	"X-Api-Key: %s", "Api-Key: %s", "X-API-KEY: %s", "X_Api_Key: %s", "Cookie: session=%s", "Cookie: %s=1", "Cookie: %s", "X-Unforeseen: %s", "X-%s: 1",
	"%s: 1", "User-Agent: %s", "User-Agent: agent/1 %s", "Accept: %s", "Accept: text/html;api_key=%s", "Accept-Language: %s", "Accept-Encoding: %s",
	"Origin: https://%s.example.com", "Origin: %s", "Referer: https://www.example.com/?api_key=%s", "Referer: https://www.example.com/%s",
	"Referer: https://%s@www.example.com/", "Content-Type: application/json; key=%s", "Content-Type: %s", "Content-Encoding: %s",
	"Sec-WebSocket-Protocol: bearer, %s", "X-Forwarded-For: %s", "X-Forwarded-Host: %s", "X-Real-Ip: %s", "Forwarded: for=%s", "If-None-Match: \"%s\"",
	"Traceparent: %s", "X-Request-Id: %s", "Idempotency-Key: %s", "Mcp-Session-Id: %s", "Mcp-Protocol-Version: %s", "Upgrade: %s", "Expect: %s",
	"Access-Control-Request-Headers: %s", "Via: 1.1 %s", "Last-Event-Id: %s", "Trailer: %s", "Range: bytes=%s", "From: %s",
}

// bodies are bodies and their types, with a %s for the token.
var bodies = [][2]string{
	{"application/json", `{"question":"q","api_key":"%s"}`},
	{"application/json", `{"question":"q","api_key": "%s", "history":"[]"}`},
	{"application/json", `{"question":"q","api_key":"%s"`},
	{"application/json", `{"question":"q","%s":"x","api_key":"%[1]s","api_key":"%[1]s"}`},
	{"application/json", `{"question":"api_key=%s","token":"%[1]s"}`},
	{"application/x-www-form-urlencoded", `api_key=%s&question=q`},
	{"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"api_key\"\r\n\r\n%s\r\n--b--\r\n"},
	{"multipart/form-data; boundary=%s", "--%s\r\nContent-Disposition: form-data; name=\"%[1]s\"\r\n\r\n%[1]s\r\n--%[1]s--\r\n"},
}

// placed returns requests, as text, that have a token in each place.
func placed(token string) []string {
	const end = "Connection: close\r\n\r\n"
	var all []string
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	for _, spell := range spellings {
		for _, target := range targets {
			add("POST %s HTTP/1.1\r\nHost: ask.example.com\r\nContent-Length: 2\r\n%s{}", fmt.Sprintf(target, spell(token)), end)
		}
	}
	for _, line := range append(lines, "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("user:"+token))+"%.0s") {
		for _, target := range []string{"GET /v1/models", "POST /stream"} {
			add("%s HTTP/1.1\r\nHost: ask.example.com\r\n%s\r\n%s", target, fmt.Sprintf(line, token), end)
		}
	}
	for _, body := range bodies {
		contentType, text := strings.ReplaceAll(body[0], "%s", token), fmt.Sprintf(strings.ReplaceAll(body[1], "%s", "%[1]s"), token)
		for _, path := range []string{"/stream", "/api/answer", "/v1/chat/completions", "/api/store_attachment", "/other"} {
			add("POST %s HTTP/1.1\r\nHost: ask.example.com\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s%s", path, contentType, len(text), end, text)
		}
	}
	for _, fault := range []string{"[[fail=400]]", "[[fail=401]]", "[[fail=500]]", "[[cut]]"} {
		text := fmt.Sprintf(`{"question":"%s","history":"[]","api_key":%q}`, fault, token)
		add("POST /stream HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s%s", len(text), end, text)
	}
	add("GET /stream HTTP/1.1\r\nHost: %s\r\n%s", token, end)
	add("GET /stream HTTP/1.1\r\nHost: %s.example.com:80\r\n%s", token, end)
	add("%s /stream HTTP/1.1\r\nHost: h\r\n%s", token, end)
	add("GET /stream HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: %s\r\nConnection: Upgrade\r\n\r\n", token)
	add("POST /stream HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: X-Key\r\n%s0\r\nX-Key: %s\r\n\r\n", end, token)
	add("%s\r\n\r\n", token)
	add("GET /stream %s\r\n\r\n", token)
	return all
}

// exchange sends the text of a request and reads the response to its end.
func exchange(t *testing.T, address, request string) {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.WriteString(conn, request); err == nil {
		_, _ = io.Copy(io.Discard, conn)
	}
}

// sendAll sends all requests with each of the tokens, some at a time, and returns how many.
func sendAll(t *testing.T, address string, tokens map[string]string) int {
	var all sync.WaitGroup
	slots, sent := make(chan struct{}, 128), 0
	for _, token := range tokens {
		for _, request := range placed(token) {
			sent++
			slots <- struct{}{}
			all.Go(func() {
				exchange(t, address, request)
				<-slots
			})
		}
	}
	all.Wait()
	return sent
}

func TestTokensNotLoggedWithEncoder(t *testing.T) {
	tokens := map[string]string{
		"key":      tokenAgent,
		"expired":  tokenOld,
		"issued":   "dgk_0123456789ABCDEFGHIJKLMNOPQRST4PMbyp",
		"agent":    "1d0c1f0e-aaaa-4c7a-9a55-0c9c2f1d7a11",
		"pat":      "dgpt_pat_canary-of-a-client",
		"session":  "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJsb2NhbCJ9.c2lnbmF0dXJl-of_a-session",
		"password": "9fQ2xZ81kVmB72vPa90tLw4Rr1",
	}
	sites := map[string]string{
		"built-in": fileSite(forwardModes["built-in"]), "reverse_proxy": fileSite(forwardModes["reverse_proxy"]),
		"error in the next handler": "docsgate {\n\tendpoints widget openai attachments health\n}\ncrash\n",
		"panic in the next handler": "docsgate {\n\tendpoints widget openai attachments health\n}\ncrash panic\n",
		"error before the gate":     "route {\n\tcrash\n\tdocsgate\n}\n",
		"panic before the gate":     "route {\n\tcrash panic\n\tdocsgate\n}\n",
	}
	for name, site := range sites {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			g.encoder = "format docsgate"
			if _, forwards := forwardModes[name]; forwards {
				site = fmt.Sprintf(site, g.address, "")
			}
			g.start(site)
			address := strings.TrimPrefix(g.urls[0], "http://")
			tokens := maps.Clone(tokens)
			if !strings.Contains(name, "before") { // where the gate is first, each form of token is handled in one way
				maps.DeleteFunc(tokens, func(form, _ string) bool { return form != "key" && form != "agent" && form != "pat" })
			}
			sent := sendAll(t, address, tokens)
			exchange(t, address, "GET /stream HTTP/1.1\r\nHost: h\r\nUser-Agent: the-last-request\r\nConnection: close\r\n\r\n")
			waitFor(t, "all is logged", func() bool { return strings.Contains(g.logs(), "the-last-request") })
			logged, metrics := g.logs(), g.send(http.MethodGet, "/metrics", "").body
			for _, token := range tokens {
				for _, spelling := range []string{
					token, strings.ToLower(token), encodeAll(token), strings.ReplaceAll(encodeAll(token), "%", "%25"),
					base64.StdEncoding.EncodeToString([]byte("user:" + token)), token[3:],
				} {
					if i := strings.Index(logged, spelling); i >= 0 {
						begin := strings.LastIndexByte(logged[:i], '\n') + 1
						t.Errorf("%q is in the log:\n%s\nhere: %s", spelling, logged[begin:min(len(logged), begin+300)], logged[max(begin, i-200):min(len(logged), i+60)])
					}
					if strings.Contains(metrics, spelling) {
						t.Errorf("%q is in the metrics", spelling)
					}
				}
			}
			if n := strings.Count(logged, `"handled request"`); n < sent*9/10 {
				t.Errorf("only %d of %d requests are logged", n, sent)
			}
			want := []string{`"uri":"/stream"`, `"uri":"/stream?api_key"`, `"uri":"/REDACTED"`, `"method":"OTHER"`}
			if strings.Contains(name, "panic before") {
				want = append(want, `http: panic serving`, "crash: POST")
			}
			for _, want := range want {
				if !strings.Contains(logged, want) {
					t.Errorf("the log does not contain %s", want)
				}
			}
		})
	}
}

func TestWarningOfLogs(t *testing.T) {
	const (
		message = "requests are logged without the encoder docsgate"
		access  = "log {\noutput file %s\n%s\n}\n"
	)
	for name, tc := range map[string]struct {
		encoder, site, other string // of the default log, the gate's site, and a site without the gate
		loggers              string // in the warning; empty: no warning
	}{
		"with the encoder":   {"format docsgate", "format docsgate", "format json", ""},
		"wrapping":           {"format docsgate {\nwrap console\n}", "format append {\nwrap docsgate\na b\n}", "", ""},
		"filter around it":   {"format filter {\nwrap docsgate\nsize delete\n}", "format docsgate", "", ""},
		"default log":        {"", "format docsgate", "format docsgate", `["http.handlers","http.log.access","http.log.error","http.stdlib"]`},
		"access log":         {"format docsgate", "format json", "format docsgate", `["http.log.access.gate"]`},
		"both, with filters": {"format filter {\nrequest>uri delete\n}", "", "", `["http.handlers","http.log.access","http.log.access.gate","http.log.error","http.stdlib"]`},
		"excluded":           {"exclude http", "format docsgate", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGate(t)
			g.encoder = tc.encoder
			config := g.config("docsgate " + g.address + "\n")
			gate := fmt.Sprintf("http://127.0.0.3:0 {\nbind 127.0.0.3\n"+strings.Replace(access, "log {", "log gate {", 1)+"docsgate %s\n}\n", g.log+".gate", tc.site, g.address)
			other := fmt.Sprintf("http://127.0.0.4:0 {\nbind 127.0.0.4\n"+access+"respond ok\n}\n", g.log+".other", tc.other)
			config = strings.Replace(config, "\nlog\n", "\n", 1) + gate + other
			if err := g.load(config); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = caddy.Stop() })
			logged := g.logs()
			if strings.Contains(logged, message) != (tc.loggers != "") {
				t.Errorf("the log is\n%s", logged)
			}
			if tc.loggers != "" && !strings.Contains(logged, `"loggers":`+tc.loggers) {
				t.Errorf("want %s in\n%s", tc.loggers, logged)
			}
		})
	}
}
