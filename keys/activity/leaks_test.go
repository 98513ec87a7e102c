package activity

import (
	"fmt"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
)

func TestLeaks(t *testing.T) {
	l := newLeaks(2)
	key := &keys.Key{ID: "a", Digest: keys.DigestOf("first")}
	if _, ok := l.Of(key); ok {
		t.Error("leaked before the first report")
	}
	want := Leak{noon, "https://docs.example.com"}
	if got, first := l.Report(key, "https://Docs.Example.com:443", noon); !first || got != want {
		t.Errorf("%+v, %t", got, first)
	}
	if got, first := l.Report(key, "https://other.example", noon.Add(time.Hour)); first || got != want {
		t.Errorf("again: %+v, %t", got, first)
	}
	rotated := &keys.Key{ID: "a", Digest: keys.DigestOf("second")}
	if _, ok := l.Of(rotated); ok {
		t.Error("a new token has leaked")
	}
	if got, ok := l.Of(key); !ok || got != want {
		t.Errorf("%+v, %t", got, ok)
	}
	if _, first := l.Report(rotated, "", noon); !first {
		t.Error("the leak of a new token is not the first")
	}
	for i := range 10 {
		l.Report(&keys.Key{ID: fmt.Sprint(i), Digest: keys.DigestOf("first")}, "", noon)
	}
	if _, ok := l.Of(rotated); ok {
		t.Error("more leaks than allowed are kept")
	}
}

func TestPageOrigin(t *testing.T) {
	for text, want := range map[string]string{
		"https://docs.example.com": "https://docs.example.com", "HTTPS://Docs.Example.com:443": "https://docs.example.com", "null": "null",
		"http://[::1]:3000": "http://[::1]:3000", "": "", "*": "", "https://*.example.com": "", "https://docs.example.com/path": "",
		"<script>": "", "https://docs.example.com\x1b[2J": "", "dgk_000000000000000000000000000000000000": "",
	} {
		if got := pageOrigin(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
