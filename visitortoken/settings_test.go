package visitortoken

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
)

func TestParsePublicKey(t *testing.T) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	for text, valid := range map[string]bool{
		block:                                  true,
		base64.StdEncoding.EncodeToString(der): true,
		base64.StdEncoding.EncodeToString(public): true,
		block + block: false,
		"":            false,
		"x":           false,
		base64.StdEncoding.EncodeToString(public[:31]):                                 false,
		base64.StdEncoding.EncodeToString(privateDER):                                  false,
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: privateDER})): false,
	} {
		key, err := ParsePublicKey(text)
		if valid && FormatPublicKey(key) != base64.StdEncoding.EncodeToString(der) {
			t.Errorf("%q is formatted as %s", text, FormatPublicKey(key))
		}
		if valid && !key.Equal(public) || valid != (err == nil) {
			t.Errorf("%q: %v", text, err)
		}
		if err != nil && text != "" && len(text) > 1 && strings.Contains(err.Error(), text) {
			t.Errorf("the error contains the text: %v", err)
		}
	}
}

func TestSecrets(t *testing.T) {
	for text, valid := range map[string]bool{
		strings.Repeat("s", MinSecretLength):   true,
		strings.Repeat("s", MinSecretLength-1): false,
		"":                                     false,
		"-----BEGIN PUBLIC KEY-----" + strings.Repeat("A", 64): false,
	} {
		if _, err := NewSecret(text); valid != (err == nil) {
			t.Errorf("%q: %v", text, err)
		}
	}
	settings := &Settings{Secrets: []Secret{newSecret(t, secretText)}}
	data, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("%v %+v %#v %s %q %x %s", settings, settings, settings.Secrets, settings.Secrets[0], settings.Secrets[0], settings.Secrets[0], data)
	if strings.Contains(text, "secret-") || strings.Contains(text, fmt.Sprintf("%x", "secret-")) {
		t.Errorf("the secret is printed: %s", text)
	}
}

func TestSettingsEqual(t *testing.T) {
	a, b := testSettings(t), testSettings(t)
	if !a.Equal(b) || !(*Settings)(nil).Equal(nil) || a.Equal(nil) {
		t.Error("equal settings differ")
	}
	for name, change := range map[string]func(*Settings){
		"generation": func(s *Settings) { s.Generation++ },
		"secret":     func(s *Settings) { s.Secrets = []Secret{newSecret(t, strings.Repeat("x", 32))} },
		"until":      func(s *Settings) { s.Secrets[0].Until = now },
		"public key": func(s *Settings) { s.PublicKeys = []ed25519.PublicKey{make(ed25519.PublicKey, 32)} },
	} {
		changed := testSettings(t)
		if change(changed); a.Equal(changed) {
			t.Errorf("%s: different settings are equal", name)
		}
	}
}
