package signedid

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
)

// signWithOwner returns an ID that is signed with its owner, or an ID that cannot be signed as it is.
func signWithOwner(s *Signer, id string, about *Subject) string {
	signed, ok := s.AppendWithOwner(nil, id, about, now)
	if !ok {
		return id
	}
	return string(signed)
}

func TestSignWithOwner(t *testing.T) {
	s := newSigner(t, secret(1, 'a'), secret(2, 'b'))
	about := subject("task", 9, 0)
	signed := signWithOwner(s, uuid, about)
	if len(signed) != len(uuid)+49 {
		t.Errorf("signed as %s", signed)
	}
	id, owner, ok := s.CheckWithOwner(signed, subject("task", 0, 0), now)
	if !ok || id != uuid || owner != about.Owner {
		t.Errorf("%q, %v, %v", id, owner, ok)
	}
	for name, other := range map[string]*Subject{"kind": subject("tasks", 9, 0), "scope": subject("task", 9, 1)} {
		if id, owner, ok := s.CheckWithOwner(signed, other, now); ok || id != "" || owner != [16]byte{} {
			t.Errorf("accepted for another %s", name)
		}
	}
	if id, ok := s.Check(signed, about, now); ok {
		t.Errorf("accepted without the owner as %q", id)
	}
	if _, _, ok := s.CheckWithOwner(s.Sign(uuid, about, now), about, now); ok {
		t.Error("an ID without an owner is accepted")
	}
	if _, _, ok := s.CheckWithOwner(signed, about, now.Add(2*MaxAge)); ok {
		t.Error("an old ID is accepted")
	}
	if got := signWithOwner(s, "not signable?", about); got != "not signable?" {
		t.Error(got)
	}
	raw, err := base64.RawURLEncoding.DecodeString(signed[len(uuid)+1:])
	if err != nil || bytes.Contains(raw, about.Owner[:4]) {
		t.Errorf("the owner is not encrypted: %x, %v", raw, err)
	}
	for i := range raw {
		changed := bytes.Clone(raw)
		changed[i] ^= 1
		if _, _, ok := s.CheckWithOwner(uuid+"."+base64.RawURLEncoding.EncodeToString(changed), about, now); ok {
			t.Errorf("byte %d may be changed", i)
		}
	}
	for _, forged := range []string{
		"", uuid, signed[1:], signed + "A", strings.ToUpper(signed), strings.Replace(signed, ".", "..", 1), strings.Repeat("a", 1<<20), " " + signed,
	} {
		if _, _, ok := s.CheckWithOwner(forged, about, now); ok {
			t.Errorf("%.100q is accepted", forged)
		}
	}
}

func FuzzCheckWithOwner(f *testing.F) {
	s := newSigner(f, secret(1, 'a'))
	about := subject("task", 9, 0)
	f.Add(signWithOwner(s, uuid, about))
	f.Add(uuid)
	f.Fuzz(func(t *testing.T, text string) {
		if id, owner, ok := s.CheckWithOwner(text, about, now); ok && (owner != about.Owner || signWithOwner(s, id, about) != text) {
			t.Errorf("%q is accepted as %q of %x", text, id, owner)
		}
		if signed := signWithOwner(s, text, about); signed != text {
			if id, owner, ok := s.CheckWithOwner(signed, about, now); !ok || id != text || owner != about.Owner {
				t.Errorf("%q is signed as %q, which is %q of %x, %v", text, signed, id, owner, ok)
			}
		}
	})
}
