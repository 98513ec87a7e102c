package policy

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/internal/alloctest"
)

func parseOrigins(t testing.TB, texts ...string) []Origin {
	t.Helper()
	patterns := make([]Origin, len(texts))
	for i, text := range texts {
		var err error
		if patterns[i], err = ParseOrigin(text); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	return patterns
}

// The set decides like the list, whatever was added and removed before.
func TestOriginSet(t *testing.T) {
	patterns := parseOrigins(t, "*", "null", "https://example.com", "https://example.com.", "https://*.example.com", "https://*.a.example.com",
		"http://*.example.com", "https://*.example.com:8443", "https://bücher.example", "https://*.bücher.example", "http://[::1]:3000",
		"https://[2001:db8::1]", "https://192.0.2.1", "https://*.example.com.")
	values := []string{
		"", "null", "NULL", "*", "https://*", "https://*.example.com", "https://", "https://.", "https://..", "https://.example.com", "https://..example.com",
		"https://example.com", "HTTPS://EXAMPLE.COM", "https://example.com:443", "https://example.com:8443", "https://example.com.",
		"https://a.example.com", "https://b.a.example.com", "https://A.B.C.Example.com", "https://a.example.com.", "https://a..example.com",
		"https://aexample.com", "https://a.example.com.evil.example", "https://example.com.evil.example", "https://evil.example/https://example.com",
		"https://example.com@evil.example", "https://evil.example#example.com", "https://evil.example?.example.com", "https://example.com:443:443",
		"http://example.com", "http://a.example.com:80", "http://a.example.com:443", "https://a.example.com:8443", "https://a.example.com:08443",
		"https://xn--bcher-kva.example", "https://a.xn--bcher-kva.example", "https://bücher.example", "https://XN--BCHER-KVA.example",
		"http://[::1]:3000", "http://[::1]", "http://[0:0:0:0:0:0:0:1]:3000", "https://[2001:db8::1]", "https://[2001:DB8::1]", "https://[::ffff:192.0.2.1]",
		"https://192.0.2.1", "https://192.0.2.1.", "https://1.192.0.2.1", "ftp://example.com", "https//example.com", "https://example.com\x00",
		"https://" + strings.Repeat("a.", 200) + "example.com",
	}
	random := rand.New(rand.NewPCG(1, 13))
	for range 300 {
		var set OriginSet
		var want []Origin
		for _, p := range patterns {
			for range random.IntN(3) { // some are added twice
				set.Add([]Origin{p})
				if random.IntN(2) == 0 {
					set.Remove([]Origin{p})
				} else {
					want = append(want, p)
				}
			}
		}
		if set.AllowsAny() != AllowsOrigin(want, "") {
			t.Fatalf("%v: AllowsAny is %t", want, set.AllowsAny())
		}
		for _, value := range values {
			if got := set.Allows(value); got != AllowsOrigin(want, value) {
				t.Fatalf("%v: %q is allowed: %t", want, value, got)
			}
		}
	}
}

func TestOriginSetAllocations(t *testing.T) {
	var set OriginSet
	set.Add(parseOrigins(t, "https://docs.example.com", "https://*.example.org"))
	if n := alloctest.MinAllocs(100, func() {
		if !set.Allows("https://a.b.example.org") || !set.Allows("https://docs.example.com") || set.Allows("https://evil.example") {
			t.Error("wrong decision")
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
