package keys

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/internal/alloctest"
)

const canary = "upstream-CANARY-3f9a"

// holder has a key in an unexported field, where fmt cannot call its methods.
type holder struct {
	key    Key
	secret Secret
}

// Neither the agent key nor the digest appears, however a record is printed, encoded or logged.
func TestSecretsAreRedacted(t *testing.T) {
	secret := NewSecret(canary)
	key := Key{ID: "support", Binding: Binding{Agent: secret}, Digest: DigestOf("token")}
	digits := key.Digest.Hex()
	printed := map[string]any{
		"Secret": secret, "*Secret": &secret, "Binding": key.Binding, "Key": key, "*Key": &key, "[]Key": []Key{key},
		"map": map[string]Key{"k": key}, "unexported": holder{key, secret}, "record": &record{Key: key},
		"Decision": Decision{Key: &key, Reason: Allowed}, "error": fmt.Errorf("about %v", key),
	}
	verbs := []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T %v", "%10v", "%!"}
	for name, value := range printed {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			for _, verb := range verbs {
				fmt.Fprintf(&out, verb+"\n", value)
			}
			encoded, err := json.Marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			out.Write(encoded)
			slog.New(slog.NewTextHandler(&out, nil)).Error("text", "value", value)
			slog.New(slog.NewJSONHandler(&out, nil)).Error("JSON", "value", value)
			hidden := []string{canary, hex.EncodeToString([]byte(canary))}
			if name != "unexported" { // there an array of bytes cannot be redacted
				hidden = append(hidden, digits, strings.ToUpper(digits))
			}
			for _, hidden := range hidden {
				if strings.Contains(out.String(), hidden) {
					t.Errorf("%q appears in:\n%s", hidden, out.String())
				}
			}
		})
	}
}

func TestSecretFormatting(t *testing.T) {
	for name, s := range map[string]Secret{"zero": {}, "set": NewSecret(canary)} {
		t.Run(name, func(t *testing.T) {
			text, err1 := s.MarshalText()
			encoded, err2 := json.Marshal(s)
			if err := errors.Join(err1, err2); err != nil {
				t.Fatal(err)
			}
			for _, got := range []string{
				s.String(), s.GoString(), fmt.Sprintf("%#v", s), string(text), strings.Trim(string(encoded), `"`), s.LogValue().String(),
			} {
				if got != "REDACTED" {
					t.Errorf("%q", got)
				}
			}
		})
	}
}

func TestSecretReveal(t *testing.T) {
	s := NewSecret(canary)
	if s.Reveal() != canary || s.IsZero() || !s.Equal(NewSecret(canary)) || s.Equal(NewSecret("other")) {
		t.Error("a secret does not return its text")
	}
	if zero := NewSecret(""); zero.Reveal() != "" || !zero.IsZero() || !zero.Equal(Secret{}) || zero.Equal(s) {
		t.Error("the empty text is not the zero secret")
	}
}

func TestParseDigest(t *testing.T) {
	d := DigestOf("abc")
	const want = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // FIPS 180-2, B.1
	if d.Hex() != want {
		t.Fatalf("DigestOf: %s", d.Hex())
	}
	cases := map[string]struct {
		text string
		ok   bool
	}{
		"lower case":   {want, true},
		"upper case":   {strings.ToUpper(want), true},
		"empty":        {"", false},
		"too short":    {want[1:], false},
		"too long":     {want + "0", false},
		"with a space": {want[:63] + " ", false},
		"not hex":      {want[:63] + "g", false},
		"prefixed":     {"sha256:" + want, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := ParseDigest(tc.text)
			switch {
			case tc.ok && (err != nil || got != d):
				t.Errorf("error %v, equal %v", err, got == d)
			case !tc.ok && (err == nil || !got.IsZero()):
				t.Errorf("accepted")
			case !tc.ok && tc.text != "" && strings.Contains(err.Error(), tc.text):
				t.Errorf("the error repeats the text: %v", err)
			}
		})
	}
}

// The sizes are those of tokens in use, and the maximum.
func TestDigestOfDoesNotAllocate(t *testing.T) {
	for _, size := range []int{0, 36, 40, 512} {
		token := strings.Repeat("x", size)
		if n := alloctest.MinAllocs(100, func() { DigestOf(token) }); n != 0 {
			t.Errorf("%d bytes: %v allocations", size, n)
		}
	}
}
