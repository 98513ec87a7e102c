package visitortoken

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/policy"
)

var (
	now        = time.Unix(1_800_000_000, 0)
	secretText = strings.Repeat("secret-", 5)
	private    = ed25519.NewKeyFromSeed([]byte(strings.Repeat("s", ed25519.SeedSize)))
	public     = private.Public().(ed25519.PublicKey)
)

func newSecret(t testing.TB, text string) Secret {
	t.Helper()
	secret, err := NewSecret(text)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// hs256 signs a header and claims of any content.
func hs256(secret, header, claims string) string {
	text := segment(header) + "." + segment(claims)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// eddsa is hs256 with the private key.
func eddsa(header, claims string) string {
	text := segment(header) + "." + segment(claims)
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(private, []byte(text)))
}

func segment(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// claimsAt returns valid claims, with more fields.
func claimsAt(iat, exp time.Time, more string) string {
	return fmt.Sprintf(`{"sub":"v1","iat":%d,"exp":%d%s}`, iat.Unix(), exp.Unix(), more)
}

const (
	headerHS = `{"alg":"HS256","typ":"JWT","kid":"site"}`
	headerEd = `{"alg":"EdDSA","typ":"JWT","kid":"site"}`
)

func testSettings(t testing.TB) *Settings {
	return &Settings{Secrets: []Secret{newSecret(t, secretText)}, PublicKeys: []ed25519.PublicKey{public}}
}

func TestSignAndVerify(t *testing.T) {
	origin, err := policy.ParseOrigin("https://docs.example.com")
	if err != nil {
		t.Fatal(err)
	}
	var limits policy.Limits
	for name, value := range map[string]string{"visitor_requests": "5/1m", "visitor_streams": "1", "question_chars": "100", "history_turns": "3"} {
		if err := limits.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	s := testSettings(t)
	s.Generation = 7
	for _, key := range []any{s.Secrets[0], private} {
		token, err := Sign(Request{
			KeyID: "site", Visitor: "auth0|7", Lifetime: 10 * time.Minute, Origin: &origin, Limits: limits, Generation: 7,
		}, now, key)
		if err != nil {
			t.Fatal(err)
		}
		if id, ok := KeyID(token); !ok || id != "site" {
			t.Errorf("key %q, %v", id, ok)
		}
		v, err := s.Verify(token, "site", now)
		if err != nil {
			t.Fatal(err)
		}
		if v.ID != "auth0|7" || len(v.Origins) != 1 || v.Origins[0] != origin || v.Limits != limits || !v.Expires().Equal(now.Add(10*time.Minute)) {
			t.Errorf("%+v", v)
		}
		if _, err := s.Verify(token, "other", now); !errors.Is(err, ErrInvalid) {
			t.Errorf("with the ID of another key: %v", err)
		}
	}
}

func TestSignRejects(t *testing.T) {
	everywhere, _ := policy.ParseOrigin("*")
	wildcard, _ := policy.ParseOrigin("https://*.example.org")
	var limits, off policy.Limits
	_ = limits.Set("requests", "1/1m")
	_ = off.Set("visitor_streams", "off")
	valid := Request{KeyID: "site", Visitor: "v1", Lifetime: time.Minute}
	for name, change := range map[string]func(*Request){
		"no visitor":            func(r *Request) { r.Visitor = "" },
		"template":              func(r *Request) { r.Visitor = "{{ system.date }}" },
		"long visitor":          func(r *Request) { r.Visitor = strings.Repeat("v", MaxVisitorLength+1) },
		"no lifetime":           func(r *Request) { r.Lifetime = 0 },
		"more than a day":       func(r *Request) { r.Lifetime = MaxLifetime + time.Second },
		"any origin":            func(r *Request) { r.Origin = &everywhere },
		"set of origins":        func(r *Request) { r.Origin = &wildcard },
		"limit of all visitors": func(r *Request) { r.Limits = limits },
		"limit off":             func(r *Request) { r.Limits = off },
	} {
		r := valid
		change(&r)
		if _, err := Sign(r, now, newSecret(t, secretText)); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
	for name, key := range map[string]any{"zero": Secret{}, "text": secretText, "public": public, "nil": nil} {
		if _, err := Sign(valid, now, key); err == nil {
			t.Errorf("%s key: signed", name)
		}
	}
}

func TestVerifyHeader(t *testing.T) {
	s := testSettings(t)
	claims := claimsAt(now, now.Add(time.Minute), "")
	for header, valid := range map[string]bool{
		headerHS:                                                           true,
		`{"kid":"site","alg":"HS256"}`:                                     true,
		`{"alg":"HS256","typ":"JWT"}`:                                      false, // without kid
		`{"alg":"none","kid":"site"}`:                                      false,
		`{"alg":"None","kid":"site"}`:                                      false,
		`{"alg":"hs256","kid":"site"}`:                                     false,
		`{"alg":"HS384","kid":"site"}`:                                     false,
		`{"alg":"RS256","kid":"site"}`:                                     false,
		`{"alg":"ES256","kid":"site"}`:                                     false,
		`{"alg":"","kid":"site"}`:                                          false,
		`{"kid":"site"}`:                                                   false,
		`{"alg":["HS256"],"kid":"site"}`:                                   false,
		`{"alg":"HS256","kid":"site","crit":[]}`:                           false,
		`{"alg":"HS256","kid":"site","crit":["exp"],"exp":1}`:              false,
		`{"alg":"HS256","kid":"site","jku":"https://evil.example/jwks"}`:   false,
		`{"alg":"HS256","kid":"site","jwk":{}}`:                            false,
		`{"alg":"HS256","kid":"site","x5u":"https://evil.example/x"}`:      false,
		`{"alg":"HS256","kid":"site","x5c":[]}`:                            false,
		`{"alg":"HS256","kid":"site","b64":false}`:                         false,
		`{"alg":"HS256","kid":"site","cty":"JWT"}`:                         false,
		`{"alg":"HS256","kid":"site","zip":"DEF"}`:                         false,
		`{"alg":"HS256","kid":"site","typ":"JWE"}`:                         false,
		`{"alg":"HS256","kid":"other"}`:                                    false,
		`{"alg":"HS256","kid":1}`:                                          false,
		`{"alg":"none","alg":"HS256","kid":"site"}`:                        false,
		`{"alg":"HS256","kid":"other","kid":"site"}`:                       false,
		`{"alg":"HS256","kid":"site"} `:                                    true,
		`{"alg":"HS256","kid":"site"}{}`:                                   false,
		`{"ALG":"HS256","kid":"site"}`:                                     false,
		`{"alg":"HS256","kid":"site","Alg":"none"}`:                        false,
		`{"alg":"HS256","kid":"` + strings.Repeat("k", MaxLength) + `"}`:   false,
		"{\"alg\":\"HS256\",\"kid\":\"site\",\"typ\":\"JWT\",\"\":\"\"}":   false,
		"{\"alg\":\"HS256\",\"kid\":\"s\\u0069te\",\"typ\":\"\\u004aWT\"}": true,
	} {
		v, err := s.Verify(hs256(secretText, header, claims), "site", now)
		if valid != (err == nil) || !valid && v != nil {
			t.Errorf("%s: %v", header, err)
		}
	}
}

func TestVerifySignature(t *testing.T) {
	s, onlyPublic, onlySecret := testSettings(t), &Settings{PublicKeys: []ed25519.PublicKey{public}}, &Settings{Secrets: []Secret{newSecret(t, secretText)}}
	claims := claimsAt(now, now.Add(time.Minute), "")
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	pemText := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	valid := hs256(secretText, headerHS, claims)
	cut := strings.LastIndexByte(valid, '.')
	for name, token := range map[string]string{
		"none":                           segment(`{"alg":"none","kid":"site"}`) + "." + segment(claims) + ".",
		"no signature":                   valid[:cut+1],
		"short signature":                valid[:len(valid)-4],
		"another secret":                 hs256(secretText+"x", headerHS, claims),
		"empty secret":                   hs256("", headerHS, claims),
		"signed by the public key":       hs256(string(public), headerHS, claims),
		"signed by the PEM":              hs256(pemText, headerHS, claims),
		"signed by the base64 text":      hs256(base64.StdEncoding.EncodeToString(public), headerHS, claims),
		"EdDSA header, HMAC signature":   hs256(secretText, headerEd, claims),
		"HMAC header, EdDSA signature":   eddsa(headerHS, claims),
		"claims of another token":        segment(headerHS) + "." + segment(strings.Replace(claims, "v1", "v2", 1)) + valid[cut:],
		"bits after the signature":       valid[:len(valid)-1] + nextBase64(valid[len(valid)-1]),
		"padding":                        valid + "=",
		"a fourth part":                  valid + "." + segment("x"),
		"white space":                    valid + "\n",
		"only a header and claims":       valid[:cut],
		"encrypted":                      strings.Repeat(segment(headerHS)+".", 4) + "x",
		"too long":                       hs256(secretText, headerHS, claims[:len(claims)-1]+`,"origin":"https://`+strings.Repeat("a", MaxLength)+`"}`),
		"standard base64, not base64url": strings.Replace(valid, "eyJ", "eyJ+/", 1),
	} {
		for kind, settings := range map[string]*Settings{"both": s, "public key": onlyPublic, "secret": onlySecret, "none": {}} {
			if v, err := settings.Verify(token, "site", now); !errors.Is(err, ErrInvalid) || v != nil {
				t.Errorf("%s with %s: %v", name, kind, err)
			}
		}
	}
	if _, err := onlyPublic.Verify(valid, "site", now); !errors.Is(err, ErrInvalid) {
		t.Errorf("HS256 with only a public key: %v", err)
	}
	if _, err := onlySecret.Verify(eddsa(headerEd, claims), "site", now); !errors.Is(err, ErrInvalid) {
		t.Errorf("EdDSA with only a secret: %v", err)
	}
	if _, err := onlyPublic.Verify(eddsa(headerEd, claims), "site", now); err != nil {
		t.Errorf("EdDSA: %v", err)
	}
}

// nextBase64 returns a base64url character that differs from c in its lowest bits, which decode to nothing at the end of 32 bytes.
func nextBase64(c byte) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	return string(alphabet[strings.IndexByte(alphabet, c)^1])
}

func TestVerifyClaims(t *testing.T) {
	s := testSettings(t)
	for more, valid := range map[string]bool{
		``:                                     true,
		`,"nbf":1800000000`:                    true,
		`,"nbf":1800000061`:                    false,
		`,"nbf":"soon"`:                        false,
		`,"nbf":-1`:                            false,
		`,"generation":0`:                      true,
		`,"generation":1`:                      false,
		`,"generation":-1`:                     false,
		`,"generation":4294967296`:             false,
		`,"generation":"0"`:                    false,
		`,"origin":"https://docs.example.com"`: true,
		`,"origin":"https://*.example.com"`:    false,
		`,"origin":"*"`:                        false,
		`,"origin":"null"`:                     false,
		`,"origin":"https://docs.example.com/path"`:                              false,
		`,"origin":["https://docs.example.com"]`:                                 false,
		`,"origin":""`:                                                           false,
		`,"limits":{"visitor_requests":"5/1m"}`:                                  true,
		`,"limits":{"visitor_streams":1,"question_chars":100,"history_turns":2}`: true,
		`,"limits":{"visitor_streams":"off"}`:                                    false,
		`,"limits":{"visitor_streams":false}`:                                    false,
		`,"limits":{"requests":"5/1m"}`:                                          false,
		`,"limits":{"streams":1}`:                                                false,
		`,"limits":{"unknown":1}`:                                                false,
		`,"limits":{"visitor_streams":1,"visitor_streams":100}`:                  false,

		`,"limits":[]`:      false,
		`,"limit":{}`:       false, // misspelled
		`,"sub":"v2"`:       false, // repeated
		`,"exp":1900000000`: false,
		`,"Sub":"v2"`:       false,
		`,"aud":"gate"`:     false,
		`,"admin":true`:     false,

		`,"nested":` + strings.Repeat("[", 300) + strings.Repeat("]", 300): false,
	} {
		_, err := s.Verify(hs256(secretText, headerHS, claimsAt(now, now.Add(time.Minute), more)), "site", now)
		if valid != (err == nil) {
			t.Errorf("%s: %v", more, err)
		}
	}
	for claims, valid := range map[string]bool{
		`{"sub":"v1","iat":1800000000,"exp":1800000060}`:           true,
		`{"sub":"v1","iat":1800000000.25,"exp":1800000060.75}`:     true,
		`{"sub":"v1","iat":1.8e9,"exp":1800000060}`:                true,
		`{"iat":1800000000,"exp":1800000060}`:                      false,
		`{"sub":"v1","exp":1800000060}`:                            false,
		`{"sub":"v1","iat":1800000000}`:                            false,
		`{"sub":"v1","iat":null,"exp":1800000060}`:                 false,
		`{"sub":"v1","iat":1800000000,"exp":null}`:                 false,
		`{"sub":"v1","iat":"1800000000","exp":1800000060}`:         false,
		`{"sub":"v1","iat":0,"exp":1800000060}`:                    false,
		`{"sub":"v1","iat":1800000000,"exp":1e300}`:                false,
		`{"sub":"v1","iat":1800000000,"exp":1800000000}`:           false,
		`{"sub":"","iat":1800000000,"exp":1800000060}`:             false,
		`{"sub":7,"iat":1800000000,"exp":1800000060}`:              false,
		`{"sub":"a b","iat":1800000000,"exp":1800000060}`:          false,
		`{"sub":"{{x}}","iat":1800000000,"exp":1800000060}`:        false,
		`{"sub":"a\u0000","iat":1800000000,"exp":1800000060}`:      false,
		"{\"sub\":\"\xff\",\"iat\":1800000000,\"exp\":1800000060}": false,
		`["sub"]`: false,
		`null`:    false,
		``:        false,
	} {
		v, err := s.Verify(hs256(secretText, headerHS, claims), "site", now)
		if valid != (err == nil) || !valid && v != nil {
			t.Errorf("%s: %v", claims, err)
		}
	}
}

func TestVerifyTimes(t *testing.T) {
	s := testSettings(t)
	for _, test := range []struct {
		iat, exp time.Duration // from now
		want     error
	}{
		{0, time.Minute, nil},
		{-MaxLifetime, 0, nil},                      // within the leeway
		{-MaxLifetime - time.Second, 0, ErrInvalid}, // more than a day
		{0, MaxLifetime, nil},
		{0, MaxLifetime + time.Second, ErrInvalid},
		{-time.Hour, -Leeway + time.Second, nil},
		{-time.Hour, -Leeway, ErrExpired},
		{-time.Hour, -time.Hour / 2, ErrExpired},
		{Leeway, time.Hour, nil},
		{Leeway + time.Second, time.Hour, ErrNotYetValid},
		{time.Hour, time.Hour + time.Minute, ErrNotYetValid},
	} {
		for _, token := range []string{
			hs256(secretText, headerHS, claimsAt(now.Add(test.iat), now.Add(test.exp), "")),
			eddsa(headerEd, claimsAt(now.Add(test.iat), now.Add(test.exp), "")),
		} {
			v, err := s.Verify(token, "site", now)
			if !errors.Is(err, test.want) || (v == nil) != errors.Is(err, ErrInvalid) {
				t.Errorf("iat %v, exp %v: %v", test.iat, test.exp, err)
			}
		}
	}
}

func TestGenerations(t *testing.T) {
	s := testSettings(t)
	token := hs256(secretText, headerHS, claimsAt(now, now.Add(time.Minute), `,"generation":3`))
	for generation, want := range map[uint32]error{2: ErrGeneration, 3: nil, 4: ErrGeneration} {
		s.Generation = generation
		if v, err := s.Verify(token, "site", now); !errors.Is(err, want) || v == nil {
			t.Errorf("generation %d: %v", generation, err)
		}
	}
}

func TestReplacedSecret(t *testing.T) {
	old := newSecret(t, secretText)
	old.Until = now.Add(time.Minute)
	s := &Settings{Secrets: []Secret{newSecret(t, strings.Repeat("n", 32)), old}}
	token := hs256(secretText, headerHS, claimsAt(now, now.Add(time.Hour), ""))
	v, err := s.Verify(token, "site", now)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.CheckTime(old.Until.Add(-time.Nanosecond)); err != nil {
		t.Errorf("before the end: %v", err)
	}
	if err := v.CheckTime(old.Until); !errors.Is(err, ErrExpired) {
		t.Errorf("a cached token after the end: %v", err)
	}
	if _, err := s.Verify(token, "site", old.Until); !errors.Is(err, ErrInvalid) {
		t.Errorf("after the end: %v", err)
	}
	if _, err := s.Verify(hs256(strings.Repeat("n", 32), headerHS, claimsAt(now, now.Add(time.Hour), "")), "site", old.Until); err != nil {
		t.Errorf("the new secret: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	s := testSettings(f)
	claims := claimsAt(now, now.Add(time.Minute), `,"origin":"https://docs.example.com","limits":{"visitor_streams":1}`)
	for _, header := range []string{headerHS, headerEd, `{"alg":"none","kid":"site"}`, `{"alg":"HS256","kid":"site","crit":["b64"]}`} {
		f.Add(header, claims, true)
		f.Add(header, claims, false)
	}
	f.Fuzz(func(t *testing.T, header, claims string, sign bool) {
		token := hs256("another secret that the gate does not have", header, claims)
		if sign {
			token = hs256(secretText, header, claims)
		}
		v, err := s.Verify(token, "site", now)
		switch {
		case err == nil && !sign:
			t.Fatal("a token without a valid signature is accepted")
		case (v == nil) != errors.Is(err, ErrInvalid):
			t.Fatalf("%+v, %v", v, err)
		case v == nil:
			return
		}
		if !IsValidVisitor(v.ID) || v.expires.Sub(v.issued) > MaxLifetime || checkLimits(&v.Limits) != nil || len(v.Origins) > 1 {
			t.Fatalf("%+v", v)
		}
		if id, ok := KeyID(token); !ok || id != "site" {
			t.Fatalf("key %q, %v", id, ok)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	s := testSettings(b)
	claims := claimsAt(now, now.Add(time.Minute), "")
	for name, token := range map[string]string{"HS256": hs256(secretText, headerHS, claims), "EdDSA": eddsa(headerEd, claims)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Verify(token, "site", now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
