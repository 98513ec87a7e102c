package keys

import (
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/alloctest"
	"github.com/docsgate/docsgate/policy"
	"github.com/docsgate/docsgate/visitortoken"
)

const signSecret = "a-secret-for-signing-with-enough-bytes"

// visitorKey returns a key that accepts signed tokens.
func visitorKey(t testing.TB, id string, v policy.Visitors) Key {
	t.Helper()
	k := sourceKey(id)
	k.Policy = &policy.Policy{Visitors: v}
	k.VisitorTokens = &visitortoken.Settings{Secrets: []visitortoken.Secret{signingSecret(t, signSecret)}}
	return k
}

func signingSecret(t testing.TB, text string) visitortoken.Secret {
	t.Helper()
	secret, err := visitortoken.NewSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// signedToken returns a token that is valid for ten minutes.
func signedToken(t testing.TB, id string, at time.Time) string {
	t.Helper()
	token, err := visitortoken.Sign(visitortoken.Request{KeyID: id, Visitor: "v1", Lifetime: 10 * time.Minute}, at, signingSecret(t, signSecret))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// settleSigned waits until the cache of signed tokens has processed all its writes.
func (v *Verifier) settleSigned() {
	if c := v.signed.Load(); c != nil {
		c.entries.Wait()
	}
}

func TestVerifySigned(t *testing.T) {
	disabled, unusable, expired := visitorKey(t, "disabled", policy.VisitorsOptional), visitorKey(t, "unusable", policy.VisitorsOptional), visitorKey(t, "expired", policy.VisitorsOptional)
	disabled.State, unusable.State, expired.Expires = Disabled, BindingUnavailable, noon
	noSecret := visitorKey(t, "no-secret", policy.VisitorsRequired)
	noSecret.VisitorTokens = nil
	store := readyStore(t, sourceKey("plain"), visitorKey(t, "off", policy.VisitorsOff), visitorKey(t, "optional", policy.VisitorsOptional),
		visitorKey(t, "required", policy.VisitorsRequired), noSecret, disabled, unusable, expired)
	valid := signedToken(t, "optional", noon)
	cases := map[string]struct {
		token string
		want  Reason
		key   string
	}{
		"optional":                {valid, Allowed, "optional"},
		"optional, own token":     {tokenOf("optional"), Allowed, "optional"},
		"required":                {signedToken(t, "required", noon), Allowed, "required"},
		"required, own token":     {tokenOf("required"), VisitorRequired, "required"},
		"required without secret": {signedToken(t, "no-secret", noon), VisitorTokenInvalid, ""},
		"no secret, own token":    {tokenOf("no-secret"), VisitorRequired, "no-secret"},
		"off":                     {signedToken(t, "off", noon), VisitorTokenInvalid, ""},
		"a plain key":             {signedToken(t, "plain", noon), VisitorTokenInvalid, ""},
		"an unknown key":          {signedToken(t, "unknown", noon), UnknownToken, ""},
		"of a disabled key":       {signedToken(t, "disabled", noon), DisabledKey, "disabled"},
		"of an unusable key":      {signedToken(t, "unusable", noon), UnusableKey, "unusable"},
		"of an expired key":       {signedToken(t, "expired", noon), Expired, "expired"},
		"expired":                 {signedToken(t, "optional", noon.Add(-time.Hour)), VisitorTokenExpired, "optional"},
		"not yet valid":           {signedToken(t, "optional", noon.Add(time.Hour)), VisitorTokenInvalid, "optional"},
		"wrong signature":         {valid[:len(valid)-4] + "AAAA", VisitorTokenInvalid, ""},
		"too long":                {valid + strings.Repeat("A", visitortoken.MaxLength), Malformed, ""},
	}
	v, closed := newVerifier(t, store, CacheConfig{}), newVerifier(t, store, CacheConfig{})
	closed.Close()
	for name, tc := range cases {
		for range 3 { // without and with the cache
			for _, v := range []*Verifier{v, closed} {
				d := v.Verify(tc.token, noon)
				if d.Reason != tc.want || (d.Key == nil) != (tc.key == "") || d.Key != nil && d.Key.ID != tc.key {
					t.Errorf("%s: %q, key %v, want %q, key %q", name, d.Reason, d.Key, tc.want, tc.key)
				}
				if signed := strings.HasPrefix(tc.token, "eyJ"); d.Allowed() && (d.Visitor == nil) == signed || d.Visitor != nil && d.Visitor.ID != "v1" {
					t.Errorf("%s: visitor %v", name, d.Visitor)
				}
			}
			v.settleSigned()
		}
		if got, want := store.DecideSigned(tc.token, noon), closed.Verify(tc.token, noon); tc.want != Malformed && got.Reason != want.Reason ||
			got.Key != want.Key || (got.Visitor == nil) != (want.Visitor == nil) {
			t.Errorf("%s: DecideSigned returns %+v, Verify %+v", name, got, want)
		}
	}
	store.SetReady(false)
	if d := store.DecideSigned(valid, noon); d.Reason != NotReady {
		t.Errorf("not ready: %+v", d)
	}
}

// A cached token ends with its key, its secret, its generation and its own time.
func TestCachedSignedTokenEnds(t *testing.T) {
	key := visitorKey(t, "k", policy.VisitorsOptional)
	token := signedToken(t, "k", noon)
	for name, end := range map[string]func(*Key){
		"disabled":   func(k *Key) { k.State = Disabled },
		"off":        func(k *Key) { k.Policy = nil },
		"generation": func(k *Key) { s := *k.VisitorTokens; s.Generation++; k.VisitorTokens = &s },
		"no secret":  func(k *Key) { k.VisitorTokens = nil },
		"another one": func(k *Key) {
			k.VisitorTokens = &visitortoken.Settings{Secrets: []visitortoken.Secret{signingSecret(t, signSecret+"x")}}
		},
	} {
		store := readyStore(t, key)
		v := newVerifier(t, store, CacheConfig{})
		for range 3 {
			if d := v.Verify(token, noon); !d.Allowed() {
				t.Fatalf("%s: %q", name, d.Reason)
			}
			v.settleSigned()
		}
		if d := v.Verify(token, noon.Add(10*time.Minute+visitortoken.Leeway)); d.Reason != VisitorTokenExpired {
			t.Errorf("after its time: %q", d.Reason)
		}
		changed := key
		end(&changed)
		mustReplace(t, store, "test", changed)
		if d := v.Verify(token, noon); d.Allowed() {
			t.Errorf("%s: a cached token is valid", name)
		}
		mustReplace(t, store, "test")
		if d := v.Verify(token, noon); d.Reason != UnknownToken {
			t.Errorf("%s, removed: %q", name, d.Reason)
		}
	}
}

// A key's own token may have the form of a signed token.
func TestOwnTokenInTheFormOfASignedToken(t *testing.T) {
	for _, token := range []string{signedToken(t, "someone-else", noon), "eyJhbGciOiJub25lIn0.e30.x"} {
		key := sourceKey("jwt")
		key.Digest = DigestOf(token)
		v := newVerifier(t, readyStore(t, key), CacheConfig{})
		for range 3 {
			if d := v.Verify(token, noon); !d.Allowed() || d.Visitor != nil {
				t.Errorf("%q", d.Reason)
			}
			v.settle()
		}
	}
}

func TestSignedTokenOfAnUnavailableFeed(t *testing.T) {
	store := readyStore(t, sourceKey("k"))
	store.SetFeedUnavailable("remote", true)
	v := newVerifier(t, store, CacheConfig{})
	if d := v.Verify(signedToken(t, "elsewhere", noon), noon); d.Reason != FeedUnavailable {
		t.Errorf("%q", d.Reason)
	}
	store.SetReady(false)
	if d := v.Verify(signedToken(t, "k", noon), noon); d.Reason != NotReady {
		t.Errorf("%q", d.Reason)
	}
}

func TestCachedSignedTokenAllocatesNothing(t *testing.T) {
	v := newVerifier(t, readyStore(t, visitorKey(t, "k", policy.VisitorsRequired)), CacheConfig{})
	token := signedToken(t, "k", noon)
	for range 3 {
		v.Verify(token, noon)
		v.settleSigned()
	}
	if n := alloctest.MinAllocs(1000, func() { v.Verify(token, noon) }); n > allowedAllocs {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkVerifySigned(b *testing.B) {
	store := readyStore(b, visitorKey(b, "k", policy.VisitorsRequired))
	token := signedToken(b, "k", noon)
	for name, prepare := range map[string]func(*Verifier){
		"cached": func(v *Verifier) { v.Verify(token, noon); v.settleSigned() }, "not cached": (*Verifier).Close,
	} {
		b.Run(name, func(b *testing.B) {
			v := newVerifier(b, store, CacheConfig{})
			prepare(v)
			b.ReportAllocs()
			for b.Loop() {
				if d := v.Verify(token, noon); !d.Allowed() {
					b.Fatal(d.Reason)
				}
			}
		})
	}
}
