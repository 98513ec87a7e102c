package logencoder

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/logging"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/docsgate/docsgate/internal/redact"
)

const (
	token  = "dgk_0123456789ABCDEFGHIJKLMNOPQRST4PMbyp"
	custom = "canary-token-of-a-key-file"
	keyID  = "7d0c1f0e-0000-4c7a-9a55-0c9c2f1d7a10"
)

type knownKeys struct{}

func (knownKeys) HasToken(token string) bool { return token == custom }
func (knownKeys) HasID(id string) bool       { return id == keyID }

func TestMain(m *testing.M) {
	redact.Register(knownKeys{})
	m.Run()
}

func testContext(tb testing.TB) caddy.Context {
	tb.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	tb.Cleanup(cancel)
	return ctx
}

// encoder returns a provisioned encoder.
func encoder(tb testing.TB, config string) *Encoder {
	tb.Helper()
	e := new(Encoder)
	if err := json.Unmarshal([]byte(config), e); err != nil {
		tb.Fatal(err)
	}
	if err := e.Provision(testContext(tb)); err != nil {
		tb.Fatal(err)
	}
	return e
}

// encode returns an entry as JSON text.
func encode(tb testing.TB, enc zapcore.Encoder, entry zapcore.Entry, fields ...zapcore.Field) string {
	tb.Helper()
	buf, err := enc.EncodeEntry(entry, fields)
	if err != nil {
		tb.Fatal(err)
	}
	return buf.String()
}

// decode returns an entry without what zap adds.
func decode(tb testing.TB, text string) map[string]any {
	tb.Helper()
	var got map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		tb.Fatalf("%v in %s", err, text)
	}
	return got
}

type stringer struct{ text string }

func (s stringer) String() string { return s.text }

// nested contains a text in each way that zap has.
type nested struct {
	text  string
	depth int
}

func (n nested) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	for _, f := range everyField(n.text, n.depth-1) {
		f.AddTo(enc)
	}
	return nil
}

func (n nested) MarshalLogArray(enc zapcore.ArrayEncoder) error {
	enc.AppendString(n.text)
	enc.AppendByteString([]byte(n.text))
	if n.depth > 0 {
		_ = enc.AppendObject(nested{n.text, n.depth - 1})
		_ = enc.AppendArray(nested{n.text, n.depth - 1})
	}
	_ = enc.AppendReflected(http.Header{"X-Custom": {n.text}, "User-Agent": {n.text}})
	return enc.AppendReflected(map[string]any{n.text: []string{n.text}})
}

func everyField(text string, depth int) []zap.Field {
	fields := []zap.Field{
		zap.String("text", text), zap.String("a name that is "+text, "x"), zap.ByteString("bytes", []byte(text)), zap.Binary("binary", []byte(text)),
		zap.Stringer("stringer", stringer{text}), zap.Error(errors.New(text)), zap.NamedError("cause", fmt.Errorf("a: %w", errors.New(text))),
		zap.Errors("errors", []error{errors.New(text)}), zap.Strings("strings", []string{text}), zap.Any("any", []any{text, map[string]string{text: text}}),
		zap.Reflect("header", http.Header{"X-Custom": {text}, "User-Agent": {text}, text: {"x"}}), zap.Reflect("unencodable", func() {}),
		zap.Reflect("raw", json.RawMessage(`{"a":"`+text+`"}`)), zap.Any("nil", nil), zap.String("uri", "/"+text), zap.Dict("dict", zap.String(text, text)),
		zap.Stringp("pointer", &text), zap.ByteStrings("list", [][]byte{[]byte(text)}), zap.Object("request", nestedRequest{text}),
	}
	if depth > 0 {
		fields = append(fields, zap.Object("object", nested{text, depth - 1}), zap.Array("array", nested{text, depth - 1}),
			zap.Objects("objects", []nested{{text, depth - 1}}), zap.Inline(nested{text, depth - 1}), zap.Namespace("namespace"), zap.String("in", text))
	}
	return fields
}

// nestedRequest is a request that another module logs.
type nestedRequest struct{ text string }

func (n nestedRequest) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("method", n.text)
	enc.AddString("uri", "/stream/"+n.text)
	return enc.AddReflected("headers", http.Header{n.text: {n.text}})
}

func TestTokensInEveryField(t *testing.T) {
	for _, secret := range []string{token, custom, "1f0e7d0c-2f4b-4c7a-9a55-0c9c2f1d7a10"} {
		base := encoder(t, `{}`)
		entry := zapcore.Entry{Message: "failed: " + secret, Stack: "goroutine 1\nmain.f(" + secret + ")"}
		for name, enc := range map[string]zapcore.Encoder{
			"json": base, "console": encoder(t, `{"wrap":{"format":"console"}}`), "append": encoder(t, `{"wrap":{"format":"append","fields":{"a":"b"}}}`),
		} {
			t.Run(name, func(t *testing.T) {
				text := encode(t, enc, entry, everyField(secret, 4)...)
				if strings.Contains(text, secret) {
					i := strings.Index(text, secret)
					t.Errorf("it is in the entry, after %s", text[max(0, i-80):i])
				}
				if strings.Count(text, "REDACTED") < 50 {
					t.Errorf("few fields are in the entry: %s", text)
				}
				// As for zap's With, which encodes fields before there is an entry.
				c := enc.Clone()
				for _, f := range everyField(secret, 2) {
					f.AddTo(c)
				}
				if text := encode(t, c, zapcore.Entry{}); strings.Contains(text, secret) || !strings.Contains(text, "REDACTED") {
					t.Errorf("with fields: %s", text)
				}
				if text := encode(t, enc, zapcore.Entry{}); strings.Contains(text, "REDACTED") {
					t.Errorf("fields of an entry are in the next one: %s", text)
				}
			})
		}
	}
}

func TestCredentialFields(t *testing.T) {
	text := encode(t, encoder(t, `{}`), zapcore.Entry{}, zap.String("api_key", "hunter-two"), zap.Strings("tokens", []string{"hunter-two"}),
		zap.Reflect("secret", "hunter-two"), zap.Any("config", map[string]string{"password": "hunter-two"}), zap.Int("max_tokens", 5))
	if strings.Contains(text, "hunter") || !strings.Contains(text, `"max_tokens":5`) {
		t.Errorf("got %s", text)
	}
}

// filterAround is Caddy's filter encoder around an encoder.
func filterAround(t *testing.T, e zapcore.Encoder) zapcore.Encoder {
	t.Helper()
	var f logging.FilterEncoder
	config := `{"wrap":{"format":"docsgate"},"fields":{"size":{"filter":"delete"}}}`
	if _, plain := e.(*logging.JSONEncoder); plain {
		config = `{"wrap":{"format":"json"}}`
	}
	if err := json.Unmarshal([]byte(config), &f); err != nil {
		t.Fatal(err)
	}
	if err := f.Provision(testContext(t)); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFilterAroundTheEncoder(t *testing.T) {
	enc := filterAround(t, encoder(t, `{}`))
	r := request("/secret/"+custom+"?api_key="+custom, "X-Unknown", "value", "X-Api-Key", "hunter-two", "User-Agent", "curl/8.5")
	r.Method = "HUNTER"
	text := encode(t, enc, zapcore.Entry{}, zap.Object("request", r), zap.String("after", "/x"))
	for _, secret := range []string{custom, "X-Unknown", "value", "hunter-two", "HUNTER"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q is in %s", secret, text)
		}
	}
	if !strings.Contains(text, "curl/8.5") || !strings.Contains(text, `"after":"/x"`) {
		t.Errorf("got %s", text)
	}
}

func TestCovers(t *testing.T) {
	base, plain := encoder(t, `{}`), new(logging.JSONEncoder)
	if err := plain.Provision(testContext(t)); err != nil {
		t.Fatal(err)
	}
	out := new(strings.Builder)
	core := func(e zapcore.Encoder) zapcore.Core {
		return zapcore.NewCore(e, zapcore.AddSync(out), zapcore.DebugLevel)
	}
	for name, tc := range map[string]struct {
		core zapcore.Core
		want bool
	}{
		"no log":                  {zapcore.NewNopCore(), true},
		"docsgate":                {core(base), true},
		"json":                    {core(plain), false},
		"both":                    {zapcore.NewTee(core(base), core(plain)), false},
		"both, in another order":  {zapcore.NewTee(core(plain), core(base)), false},
		"a filter around it":      {core(filterAround(t, base)), true},
		"a filter around another": {core(filterAround(t, plain)), false},
		"fields":                  {core(base).With([]zap.Field{zap.String("a", "b")}), true},
	} {
		if got := Covers(zap.New(tc.core)); got != tc.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
	if out.Len() != 0 {
		t.Errorf("it wrote %q", out)
	}
}

func BenchmarkEncodeEntry(b *testing.B) {
	plain := new(logging.JSONEncoder)
	if err := plain.Provision(testContext(b)); err != nil {
		b.Fatal(err)
	}
	r := request("/stream?api_key=x", "User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
		"Accept", "*/*", "Accept-Language", "en-US,en;q=0.5", "Content-Type", "application/json", "Origin", "https://www.example.com",
		"Referer", "https://www.example.com/page", "Sec-Fetch-Mode", "cors")
	fields := []zap.Field{
		zap.Object("request", r), zap.Int("bytes_read", 100), zap.String("user_id", keyID), zap.Int("status", 200),
		zap.Object("resp_headers", caddyhttp.LoggableHTTPHeader{Header: http.Header{"Content-Type": {"text/event-stream"}, "Server": {"Caddy"}}}),
	}
	for name, enc := range map[string]zapcore.Encoder{"json": plain, "docsgate": encoder(b, `{}`)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				buf, err := enc.EncodeEntry(zapcore.Entry{Message: "handled request"}, fields)
				if err != nil {
					b.Fatal(err)
				}
				buf.Free()
			}
		})
	}
}
