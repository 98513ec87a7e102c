package policy

import (
	"testing"

	"github.com/docsgate/docsgate/internal/alloctest"
)

func TestParseOrigin(t *testing.T) {
	for text, want := range map[string]string{
		"*": "*", "null": "null",
		"https://docs.example.com":       "https://docs.example.com",
		"HTTPS://Docs.Example.COM":       "https://docs.example.com",
		"https://docs.example.com:443":   "https://docs.example.com",
		"http://docs.example.com:80":     "http://docs.example.com",
		"http://docs.example.com:443":    "http://docs.example.com:443",
		"https://*.example.org":          "https://*.example.org",
		"https://*.example.org:8443":     "https://*.example.org:8443",
		"https://bücher.example":         "https://xn--bcher-kva.example",
		"https://example.com.":           "https://example.com.",
		"http://localhost:3000":          "http://localhost:3000",
		"http://127.0.0.1:3000":          "http://127.0.0.1:3000",
		"http://[::1]:3000":              "http://[::1]:3000",
		"http://[0:0:0:0:0:0:0:1]":       "http://[::1]",
		"https://docs.example.com/":      "",
		"https://docs.example.com/a":     "",
		"https://docs.example.com?a":     "",
		"https://docs.example.com?":      "",
		"https://docs.example.com#":      "",
		"https://user@docs.example.com":  "",
		"https://docs.example.com:":      "",
		"https://docs.example.com:0":     "",
		"https://docs.example.com:x":     "",
		"https://*":                      "",
		"https://*.com":                  "",
		"https://*.0.0.1":                "https://*.0.0.1",
		"https://a.*.example.org":        "",
		"https://*example.org":           "",
		"docs.example.com":               "",
		"ftp://docs.example.com":         "",
		"https://":                       "",
		"":                               "",
		"https://exam ple.com":           "",
		"https://docs.example.com\n":     "",
		"http://[::1%25eth0]":            "",
		"chrome-extension://abcdefghijk": "",
	} {
		o, err := ParseOrigin(text)
		if got := o.String(); err == nil && got != want || err != nil && want != "" {
			t.Errorf("%q: %q, %v, want %q", text, got, err, want)
		}
		if err != nil {
			continue
		}
		if again, err := ParseOrigin(o.String()); err != nil || again != o {
			t.Errorf("%q: its normal form is parsed as %q, %v", text, again, err)
		}
	}
}

func TestAllowsOrigin(t *testing.T) {
	for _, c := range []struct {
		pattern, origin string
		want            bool
	}{
		{"*", "https://a.example", true},
		{"*", "", true},
		{"*", "null", true},
		{"null", "null", true},
		{"null", "", false},
		{"https://a.example", "null", false},
		{"https://a.example", "", false},
		{"https://a.example", "https://a.example", true},
		{"https://a.example", "HTTPS://A.Example", true},
		{"https://a.example", "https://a.example:443", true},
		{"https://a.example", "http://a.example", false},
		{"https://a.example", "http://a.example:443", false},
		{"https://a.example", "https://a.example:8443", false},
		{"https://a.example:8443", "https://a.example:8443", true},
		{"https://a.example", "https://a.example.", false},
		{"https://a.example.", "https://a.example.", true},
		{"https://a.example", "https://a.example.evil.example", false},
		{"https://a.example", "https://evil-a.example", false},
		{"https://a.example", "https://a.example@evil.example", false},
		{"https://a.example", "https://a.example/", false},
		{"https://a.example", "https://a.example evil", false},
		{"https://a.example", " https://a.example", false},
		{"https://a.example", "https://a.example:", false},
		{"https://a.example", "https://a.example:0443", false},
		{"https://*.example.org", "https://docs.example.org", true},
		{"https://*.example.org", "https://a.b.c.example.org", true},
		{"https://*.example.org", "https://DOCS.EXAMPLE.ORG", true},
		{"https://*.example.org", "https://example.org", false},
		{"https://*.example.org", "https://.example.org", false},
		{"https://*.example.org", "https://evilexample.org", false},
		{"https://*.example.org", "https://docs.example.org.evil.example", false},
		{"https://*.example.org", "https://docs.example.org.", false},
		{"https://*.example.org", "https://evil.example/.example.org", false},
		{"https://*.example.org", "https://evil.example#.example.org", false},
		{"https://*.example.org", "https://evil.example?.example.org", false},
		{"https://*.example.org", `https://evil.example\.example.org`, false},
		{"https://*.example.org", "https://a.example.org:8443", false},
		{"https://bücher.example", "https://xn--bcher-kva.example", true},
		{"https://bücher.example", "https://bücher.example", false}, // browsers send punycode
		{"http://[::1]:3000", "http://[::1]:3000", true},
		{"http://[::1]", "http://[::1]:80", true},
		{"http://[::1]", "http://[::1]:8080", false},
		{"http://[::1]", "http://::1", false},
		{"http://localhost:3000", "http://localhost:3001", false},
	} {
		pattern, err := ParseOrigin(c.pattern)
		if err != nil {
			t.Fatalf("%q: %v", c.pattern, err)
		}
		if got := AllowsOrigin([]Origin{pattern}, c.origin); got != c.want {
			t.Errorf("%q with %q: %v, want %v", c.pattern, c.origin, got, c.want)
		}
	}
	if AllowsOrigin(nil, "https://a.example") {
		t.Error("no pattern allows an origin")
	}
}

func TestCheckAllocatesNothing(t *testing.T) {
	one, _ := ParseOrigin("https://other.example:8443")
	two, _ := ParseOrigin("https://*.example.org")
	p := Policy{Kind: Publishable, Origins: []Origin{one, two}, Endpoints: []string{"widget"}}
	if n := alloctest.MinBytes(0, func() {
		if reason := p.Check(&Request{Origin: "https://docs.example.org", Browser: true, Endpoint: "widget"}); reason != Allowed {
			t.Error(reason)
		}
	}); n > 0 {
		t.Errorf("%d bytes", n)
	}
}
