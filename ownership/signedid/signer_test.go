package signedid

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"
)

const uuid = "3f2b7c1e-8d4a-4b6f-9a35-0c7d2e1f5b68"

var now = time.Date(2026, 11, 1, 12, 30, 0, 0, time.UTC)

func secret(number uint8, fill byte) Secret {
	s := Secret{Number: number}
	for i := range s.Key {
		s.Key[i] = fill + byte(i)
	}
	return s
}

func newSigner(t testing.TB, secrets ...Secret) *Signer {
	t.Helper()
	s, err := New(secrets...)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func subject(kind string, owner, scope byte) *Subject {
	return &Subject{Kind: kind, Owner: [16]byte{owner}, Scope: [16]byte{scope}}
}

func TestSignAndCheck(t *testing.T) {
	s := newSigner(t, secret(1, 'a'))
	for _, id := range []string{uuid, "65a1b2c3d4e5f60718293a4b", "x", "A_-9", strings.Repeat("y", MaxIDLength)} {
		signed := s.Sign(id, subject("conversation", 1, 0), now)
		if len(signed) != len(id)+25 || url.QueryEscape(signed) != signed || url.PathEscape(signed) != signed {
			t.Errorf("%s is signed as %s", id, signed)
		}
		if got, ok := s.Check(signed, subject("conversation", 1, 0), now); !ok || got != id {
			t.Errorf("%s: %q, %v", signed, got, ok)
		}
	}
}

func TestNotSignable(t *testing.T) {
	s := newSigner(t, secret(1, 'a'))
	about := subject("conversation", 1, 0)
	for _, id := range []string{"", "None?", "a.b", "a b", "ä", "a\n", strings.Repeat("y", MaxIDLength+1)} {
		if signed := s.Sign(id, about, now); signed != id {
			t.Errorf("%q is signed as %q", id, signed)
		}
		if _, ok := s.Check(id, about, now); ok {
			t.Errorf("%q is accepted", id)
		}
	}
}

func TestRejected(t *testing.T) {
	s := newSigner(t, secret(1, 'a'), secret(2, 'b'))
	about := subject("conversation", 1, 7)
	signed := s.Sign(uuid, about, now)
	signature := signed[len(uuid)+1:]
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil {
		t.Fatal(err)
	}
	with := func(at int, value byte) string {
		changed := append([]byte(nil), raw...)
		changed[at] = value
		return uuid + "." + base64.RawURLEncoding.EncodeToString(changed)
	}
	for name, tampered := range map[string]string{
		"bare":                      uuid,
		"empty":                     "",
		"only a signature":          "." + signature,
		"without a separator":       uuid + signature,
		"separator twice":           uuid + ".." + signature,
		"signed twice":              signed + "." + signature,
		"signature first":           signature + "." + uuid,
		"truncated":                 signed[:len(signed)-1],
		"longer":                    signed + "A",
		"padded":                    signed + "=",
		"line end inside":           signed[:len(signed)-1] + "\n",
		"line end before":           "\n" + signed,
		"upper case":                strings.ToUpper(signed),
		"ID in upper case":          strings.ToUpper(uuid) + "." + signature,
		"percent-encoded":           url.QueryEscape(strings.ReplaceAll(signed, "-", "%2D")),
		"percent-encoded separator": uuid + "%2E" + signature,
		"another ID":                "4" + uuid[1:] + "." + signature,
		"shorter ID":                uuid[1:] + "." + signature,
		"another version":           with(0, 2),
		"another secret number":     with(1, 1),
		"an unknown secret number":  with(1, 9),
		"a later hour":              with(4, raw[4]+1),
		"another last byte":         with(rawLength-1, raw[rawLength-1]^1),
		"a zero signature":          uuid + "." + strings.Repeat("A", textLength),
		"huge":                      strings.Repeat("a", 1<<20) + "." + signature,
		"not ASCII":                 uuid + "." + signature[:textLength-2] + "é",
	} {
		if id, ok := s.Check(tampered, about, now); ok || id != "" {
			t.Errorf("%s: %.80q is accepted", name, tampered)
		}
	}
	for name, other := range map[string]*Subject{
		"kind":         subject("attachment", 1, 7),
		"longer kind":  subject("conversations", 1, 7),
		"shorter kind": subject("conversatio", 1, 7),
		"no kind":      subject("", 1, 7),
		"owner":        subject("conversation", 2, 7),
		"scope":        subject("conversation", 1, 8),
		"no scope":     subject("conversation", 1, 0),
	} {
		if _, ok := s.Check(signed, other, now); ok {
			t.Errorf("accepted for another %s", name)
		}
	}
}

// No ID that is signed for one subject is accepted for another, whatever they are.
func TestSubjectsAreSeparate(t *testing.T) {
	s := newSigner(t, secret(1, 'a'))
	random := rand.New(rand.NewPCG(1, 2))
	subjects := make([]*Subject, 60)
	seen := map[Subject]bool{}
	for i := range subjects {
		for subjects[i] == nil || seen[*subjects[i]] {
			subjects[i] = subject(strings.Repeat("k", random.IntN(4)), byte(random.IntN(4)), byte(random.IntN(4)))
		}
		seen[*subjects[i]] = true
	}
	ids := []string{"k", "kk", "kkk", uuid}
	for i, mine := range subjects {
		for _, id := range ids {
			signed := s.Sign(id, mine, now)
			for j, other := range subjects {
				if got, ok := s.Check(signed, other, now); ok != (i == j) || ok && got != id {
					t.Fatalf("%q of %+v for %+v: %q, %v", id, mine, other, got, ok)
				}
			}
		}
	}
}

func TestAge(t *testing.T) {
	s := newSigner(t, secret(1, 'a'))
	about := subject("conversation", 1, 0)
	signed := s.Sign(uuid, about, now)
	for after, want := range map[time.Duration]bool{
		0: true, time.Hour: true, MaxAge: true, MaxAge + time.Hour: false, 100 * MaxAge: false,
		-time.Hour: true, -2 * time.Hour: false, -MaxAge: false,
	} {
		if _, ok := s.Check(signed, about, now.Add(after)); ok != want {
			t.Errorf("after %v: %v, want %v", after, ok, want)
		}
	}
}

// A secret that is replaced still checks the IDs that it has signed, until it is removed.
func TestRotation(t *testing.T) {
	first, second := secret(1, 'a'), secret(2, 'b')
	about := subject("conversation", 1, 0)
	before, both, after := newSigner(t, first), newSigner(t, first, second), newSigner(t, second)
	early, late := before.Sign(uuid, about, now), both.Sign(uuid, about, now)
	for name, tc := range map[string]struct {
		signer *Signer
		signed string
		want   bool
	}{
		"early before":         {before, early, true},
		"early during":         {both, early, true},
		"early after":          {after, early, false},
		"late during":          {both, late, true},
		"late after":           {after, late, true},
		"late without it":      {before, late, false},
		"same number, another": {newSigner(t, secret(1, 'c')), early, false},
	} {
		if _, ok := tc.signer.Check(tc.signed, about, now); ok != tc.want {
			t.Errorf("%s: %v, want %v", name, ok, tc.want)
		}
	}
}

func TestNewRejects(t *testing.T) {
	for name, secrets := range map[string][]Secret{
		"none": nil, "an empty one": {{Number: 1}}, "a number twice": {secret(1, 'a'), secret(1, 'b')},
	} {
		if s, err := New(secrets...); err == nil || s != nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestConcurrent(t *testing.T) {
	s := newSigner(t, secret(1, 'a'))
	for i := range 8 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			about := subject("conversation", byte(i), 0)
			for n := range 500 {
				id := fmt.Sprint("id-", n)
				if got, ok := s.Check(s.Sign(id, about, now), about, now); !ok || got != id {
					t.Fatalf("%s: %q, %v", id, got, ok)
				}
			}
		})
	}
}

func FuzzCheck(f *testing.F) {
	s := newSigner(f, secret(1, 'a'), secret(2, 'b'))
	about := subject("conversation", 1, 0)
	signed := s.Sign(uuid, about, now)
	for _, seed := range []string{"", uuid, signed, signed[1:], signed + ".", strings.ToUpper(signed), s.Sign("a", about, now)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if id, ok := s.Check(text, about, now); ok {
			// Without the secret, the only valid IDs are those that were signed: here, the seeds.
			if text != s.Sign(id, about, now) {
				t.Errorf("%q is accepted as %q", text, id)
			}
		}
		signed := s.Sign(text, about, now)
		if signed == text {
			return
		}
		if id, ok := s.Check(signed, about, now); !ok || id != text {
			t.Errorf("%q is signed as %q, which is %q, %v", text, signed, id, ok)
		}
		if _, ok := s.Check(signed, subject("attachment", 1, 0), now); ok {
			t.Errorf("%q is accepted for another kind", signed)
		}
	})
}

func TestAllocations(t *testing.T) {
	s := newSigner(t, secret(1, 'a'))
	about := subject("conversation", 1, 0)
	signed := s.Sign(uuid, about, now)
	buf := make([]byte, 0, MaxSignedLength)
	if n := testing.AllocsPerRun(1000, func() { _, _ = s.Append(buf, uuid, about, now) }); int(n) > allowedAllocs {
		t.Errorf("signing allocates %v times", n)
	}
	if n := testing.AllocsPerRun(1000, func() { s.Check(signed, about, now) }); int(n) > allowedAllocs {
		t.Errorf("checking allocates %v times", n)
	}
}

func BenchmarkAppend(b *testing.B) {
	s := newSigner(b, secret(1, 'a'))
	about, buf := subject("conversation", 1, 0), make([]byte, 0, MaxSignedLength)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = s.Append(buf, uuid, about, now)
	}
}

func BenchmarkCheck(b *testing.B) {
	s := newSigner(b, secret(1, 'a'))
	about := subject("conversation", 1, 0)
	signed := s.Sign(uuid, about, now)
	b.ReportAllocs()
	for b.Loop() {
		s.Check(signed, about, now)
	}
}
