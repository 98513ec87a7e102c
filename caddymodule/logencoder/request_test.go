package logencoder

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func request(target string, headers ...string) caddyhttp.LoggableHTTPRequest {
	r := httptest.NewRequest(http.MethodPost, "/", http.NoBody)
	r.RequestURI, r.Host = target, "ask.example.com"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return caddyhttp.LoggableHTTPRequest{Request: r, ShouldLogCredentials: true}
}

func TestRequest(t *testing.T) {
	r := request("/stream?api_key="+custom+"&x="+token, "User-Agent", "curl/8.5 "+token, "X-Api-Key", custom, "Authorization", "Bearer x",
		"X-Unknown", "value", "X-"+token, "value", "Referer", "https://www.example.com/page?key="+custom, "Content-Type", "application/json")
	r.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, ServerName: token + ".example.com"}
	text := encode(t, encoder(t, `{}`), zapcore.Entry{Message: "handled request"}, zap.Object("request", r), zap.String("user_id", keyID))
	for _, secret := range []string{token, custom, "Bearer", "X-Unknown", "value"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in %s", secret, text)
		}
	}
	got := decode(t, text)
	if got["user_id"] != keyID || got["msg"] != "handled request" {
		t.Errorf("got %v", got)
	}
	req := got["request"].(map[string]any)
	headers, connection := req["headers"].(map[string]any), req["tls"].(map[string]any)
	for name, want := range map[string]any{
		"remote_ip": "192.0.2.1", "method": "POST", "proto": "HTTP/1.1", "host": "ask.example.com", "uri": "/stream?api_key&REDACTED",
	} {
		if req[name] != want {
			t.Errorf("%s: got %v, want %v", name, req[name], want)
		}
	}
	for name, want := range map[string]string{
		"User-Agent": "curl/8.5 REDACTED", "X-Api-Key": "REDACTED", "Authorization": "REDACTED", "Referer": "https://www.example.com",
		"Content-Type": "application/json",
	} {
		if fmt.Sprint(headers[name]) != "["+want+"]" {
			t.Errorf("%s: got %v, want %v", name, headers[name], want)
		}
	}
	if len(headers) != 5 || connection["server_name"] != "REDACTED.example.com" || connection["version"] != float64(tls.VersionTLS13) {
		t.Errorf("got %v", req)
	}
}

func TestRequestTarget(t *testing.T) {
	r := encoder(t, `{"paths":["/app/index.html"]}`).rules
	for target, want := range map[string]string{
		"/stream":                                "/stream",
		"//stream":                               "/stream",
		"/%73tream":                              "/stream",
		"/stream?":                               "/stream",
		"/stream?api_key=x":                      "/stream?api_key",
		"/stream?API_KEY=x&api_key=y":            "/stream?api_key",
		"/stream?%61pi_key=x":                    "/stream?api_key",
		"/stream?" + custom:                      "/stream?REDACTED",
		"/stream?x;token=y":                      "/stream?token&REDACTED",
		"/stream?%zz=1":                          "/stream?REDACTED",
		"/api/task_status?task_id=" + keyID:      "/api/task_status?task_id",
		"/api/artifacts/" + keyID:                "/api/artifacts/{uuid}",
		"/stream%3Fapi_key=x":                    "/REDACTED",
		"/" + custom:                             "/REDACTED",
		"/" + custom + "/stream?token=1":         "/REDACTED/stream?token",
		"/a/b/v1/chat/completions":               "/REDACTED/v1/chat/completions",
		"/%zz":                                   "/REDACTED",
		"":                                       "",
		"*":                                      "*",
		"/":                                      "/",
		"/metrics":                               "/metrics",
		"/app/index.html?v=1":                    "/app/index.html?REDACTED",
		"/stream#" + custom:                      "/stream",
		"http://host/stream?key=1":               "/stream?key",
		"https://" + custom + "@host":            "/",
		custom + ":443":                          "/REDACTED",
		strings.Repeat("/a", 1000):               "/REDACTED",
		"/stream?" + strings.Repeat("a&", 1<<20): "/stream?REDACTED",
	} {
		if got := r.uri(target); got != want {
			t.Errorf("%.60q: got %q, want %q", target, got, want)
		}
	}
}

func TestRequestMethodAndProtocol(t *testing.T) {
	r := request("/stream")
	r.Method, r.Proto = custom, custom
	got := decode(t, encode(t, encoder(t, `{}`), zapcore.Entry{}, zap.Object("request", r)))["request"].(map[string]any)
	if got["method"] != "OTHER" || got["proto"] != "OTHER" {
		t.Errorf("got %v", got)
	}
}

func TestHeaderValuesAreBounded(t *testing.T) {
	r := request("/stream", "User-Agent", strings.Repeat("a b ", 1000))
	for range 100 {
		r.Header.Add("Accept", "text/html")
	}
	text := encode(t, encoder(t, `{}`), zapcore.Entry{}, zap.Object("request", r))
	if len(text) > 1000 || !strings.Contains(text, "bytes omitted") || strings.Count(text, "text/html") != maxHeaderValues {
		t.Errorf("%d bytes: %s", len(text), text)
	}
}
