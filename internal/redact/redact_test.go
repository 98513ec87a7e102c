package redact

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

const (
	issued = "dgk_0123456789ABCDEFGHIJKLMNOPQRST4PMbyp"
	public = "dgp_0123456789ABCDEFGHIJKLMNOPQRST4PMbyp"
	secret = "dgs_0123456789ABCDEFGHIJKLMNOPQRST4PMbyp"
	agent  = "7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10"
	access = "dgpt_pat_canary-access"
	jwt    = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJsb2NhbCJ9.c2ln-bm_F0dXJl"
	random = "Zx81kQ-mB72vPa_90tLw4Rr"
	custom = "canary-token-of-a-key-file"
	keyID  = "7d0c1f0e-0000-4c7a-9a55-0c9c2f1d7a10"
)

// knownKeys has one key, with the token custom.
type knownKeys struct{}

func (knownKeys) HasToken(token string) bool { return token == custom }
func (knownKeys) HasID(id string) bool       { return id == keyID }

func TestMain(m *testing.M) {
	Register(knownKeys{})
	m.Run()
}

// embeddings are texts with a %s for a token of any form.
var embeddings = []string{
	"%s", " %s ", "a %s b", "%s.", "(%s)", `"%s"`, `it's '%s'`, "[%s]", "<%s>", "%s, %s", "%s\n%s", "a\t%s", "%s:", "é%sé", "\x00%s\x00",
	"/stream/%s", "/%s/stream", "/stream?api_key=%s", "/stream?API_KEY=%s&x=1", "/stream?x=1&%s", "/stream?%s", "/stream%%3Fapi_key=%s",
	"/stream%%253Fapi_key%%253D%s", "/stream;%s", "http://%s@host/", "http://u:%s@host/stream", "http://host/#%s", "http://%s.example.com:80/",
	"Authorization: Bearer %s", "authorization: bearer %s", "Bearer %s", "Authorization:Bearer %s", "X-Api-Key: %s",
	"map[X-Api-Key:[%s] Accept:[*/*]]", "map[Authorization:[Bearer %s]]", "map[Cookie:[a=b; key=%s]]", `{"api_key":"%s"}`, `{"api_key": "%s"}`,
	`{\"api_key\":\"%s\"}`, `{'api_key': '%s'}`, "api_key=%s", "api_key = %s", `api_key="%s"`, "open /srv/%s: no such file or directory",
	`Get "http://127.0.0.1:7091/stream?x=%s": dial tcp: connection refused`, `Post "http://h/%s?": EOF`,
	"http: panic serving 127.0.0.1:1: %s\ngoroutine 1 [running]:\nmain.f({0xc000012345, 0x2a})\n\t/go/src/main.go:1 +0x1d",
	`msg="%s"`, "line one\\nX: %s\\nline two", "%s=1", "user_id:%s", "a|%s|b", "dialing %s:443", "--%s--\r\n", "__%s",
}

func TestRedactTokens(t *testing.T) {
	for _, token := range []string{issued, public, secret, agent, access, jwt, random, custom, strings.ToUpper(agent), strings.ToLower(issued)} {
		for _, text := range embeddings {
			text = fmt.Sprintf(strings.ReplaceAll(text, "%s", "%[1]s"), token)
			for range 3 {
				if got := Text(text); strings.Contains(got, token) || !strings.Contains(got, Replacement) {
					t.Errorf("%q\n got %q", text, got)
				}
				text = percentEncoded(text, token)
			}
		}
	}
}

// percentEncoded encodes each byte of a token in a text, and existing escapes again.
func percentEncoded(text, token string) string {
	var encoded strings.Builder
	for i := range len(token) {
		fmt.Fprintf(&encoded, "%%%02x", token[i])
	}
	if !strings.Contains(text, token) {
		return strings.ReplaceAll(text, "%", "%25")
	}
	return strings.ReplaceAll(text, token, encoded.String())
}

func TestRedactValuesOfCredentialNames(t *testing.T) {
	const value = "hunter-two"
	for _, text := range []string{
		"/stream?api_key=%s", "/stream?API_KEY=%s", "/?x=%s", "/stream?a=b&unknown=%s", "X-Api-Key: %s", "api_key=%s", "api_key%%3D%s",
		"api_key%%253D%s", `{"api_key":"%s"}`, `{"password": "%s"}`, "Api-Key:%s", "map[X-Api-Key:[%s]]", "Authorization: Token %s",
		"Cookie: a=b; c=%s", "Bearer %s", "http://user:%s@host/", "access_token=%s&b=c", "client_secret: '%s'", "API_KEY=%s",
		"key=%s", "a&key=%s", `x-api-key="%s"`,
	} {
		text = fmt.Sprintf(text, value)
		if got := Text(text); strings.Contains(got, value) || !strings.Contains(got, Replacement) {
			t.Errorf("%q\n got %q", text, got)
		}
	}
	basic := base64.StdEncoding.EncodeToString([]byte("user:" + value))
	if got := Text("got Basic " + basic); got != "got Basic REDACTED" {
		t.Errorf("got %q", got)
	}
}

func TestRedactKeepsOtherTexts(t *testing.T) {
	for _, text := range []string{
		"", "handled request", "dial tcp 127.0.0.1:7091: connect: connection refused", "lookup docsgpt-backend-7c9d8f6b5d-x2x4z: no such host",
		"upstream_token: the environment variable DOCSGPT_TOKEN is not set", "the agent key of key_abcdefghijklmnopqrstuvwx23",
		"agent_" + agent, "agent_64f1c0ffee12ab34cd56ef78: its status is draft", "keys.yaml:2: token: must be a digest; see docsgate keys hash",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
		"https://acme-v02.api.letsencrypt.org/directory", "ip-10-0-12-34.us-west-2.compute.internal", "/srv/docsgate/keys.yaml",
		"github.com/caddyserver/caddy/v2/modules/caddyhttp.(*Server).ServeHTTP(0xc000123456, {0x7f0011223344, 0xc0})",
		"\t/go/pkg/mod/github.com/caddyserver/caddy/v2@v2.11.9/modules/caddyhttp/server.go:1001 +0x2b8", "net/http.(*http2responseWriterState).Write",
		"text/event-stream; charset=utf-8", "basic authentication failed", "what? yes", "a bearer of news", "50%", "100%25", "the key: agent",
		"2026-11-29T01:45:28Z", "8f3a2b1c9d0e4f5a", "é", "HTTP/1.1", "{http.auth.user.id}", "tokens: 3", "certificate for ask.example.com",
	} {
		if got := Text(text); got != text {
			t.Errorf("%q\n got %q", text, got)
		}
	}
}

func TestRedactTokensInHeaderNames(t *testing.T) {
	for _, name := range []string{"X-Dgk_0123456789abcdef", "X-Dgpt_pat_canary-Access", "Dgp_0123456789abcdef", "X-7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10"} {
		if got := Text("dropping header " + name); got != "dropping header REDACTED" {
			t.Errorf("got %q", got)
		}
	}
}

func TestRedactLongTexts(t *testing.T) {
	long := strings.Repeat("word ", MaxText/5-2) + issued + strings.Repeat(" "+issued, 1000)
	got := Text(long)
	if len(got) > MaxText+64 || !strings.HasSuffix(got, "bytes omitted)") {
		t.Errorf("%d bytes, ending with %q", len(got), got[len(got)-64:])
	}
	if strings.Contains(got, "dgk_") {
		t.Error("the beginning of a token is kept")
	}
	if got := Text(strings.Repeat("a", MaxText*2)); len(got) > 100 {
		t.Errorf("a long word: %d bytes", len(got))
	}
}

func TestKnownTokensOfRegisteredKeys(t *testing.T) {
	unregister := Register(otherKeys{"a-second-token"})
	if got := Text("with a-second-token."); got != "with REDACTED." && got != "with REDACTED" {
		t.Errorf("registered: %q", got)
	}
	unregister()
	unregister()
	if got := Text("with a-second-token."); got != "with a-second-token." {
		t.Errorf("unregistered: %q", got)
	}
	if got := Text("with " + custom); strings.Contains(got, custom) {
		t.Errorf("the other keys: %q", got)
	}
}

type otherKeys struct{ token string }

func (k otherKeys) HasToken(token string) bool { return token == k.token }
func (k otherKeys) HasID(string) bool          { return false }

func FuzzText(f *testing.F) {
	for _, text := range embeddings {
		f.Add(text, "")
	}
	f.Add("a", "%2")
	f.Fuzz(func(t *testing.T, before, after string) {
		if len(before)+len(after) > 1<<12 {
			return
		}
		// Separated by white space, a token is always found, whatever is around it.
		for _, token := range []string{issued, agent, access, jwt, custom} {
			if got := Text(before + " " + token + " " + after); strings.Contains(got, token) && !strings.Contains(before+after, token) {
				t.Errorf("%q is in %q", token, got)
			}
		}
		text := before + after
		if once := Text(text); len(once) > len(text)*3+64 {
			t.Errorf("%d bytes became %d", len(text), len(once))
		}
	})
}

func BenchmarkText(b *testing.B) {
	for name, text := range map[string]string{
		"message":   "handled request",
		"UserAgent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
		"64KiB":     strings.Repeat("net/http.(*conn).serve(0xc000123456) ", MaxText/37),
		"hostile":   strings.Repeat("%25", MaxText/3),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				Text(text)
			}
		})
	}
}
