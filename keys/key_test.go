package keys

import (
	"testing"
	"time"
)

func TestBindingKind(t *testing.T) {
	cases := map[string]struct {
		binding Binding
		kind    BindingKind
		word    string
	}{
		"none":   {Binding{}, 0, "none"},
		"source": {Binding{Sources: []string{sourceID}}, SourceBinding, "source"},
		"agent":  {Binding{Agent: NewSecret("k")}, AgentBinding, "agent"},
		"both":   {Binding{Sources: []string{sourceID}, Agent: NewSecret("k")}, 0, "none"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := tc.binding.Kind(); got != tc.kind || got.String() != tc.word {
				t.Errorf("kind %d (%s), want %d (%s)", got, got, tc.kind, tc.word)
			}
		})
	}
}

func TestStateString(t *testing.T) {
	for s, word := range map[State]string{Active: "active", Disabled: "disabled", Revoked: "revoked", BindingUnavailable: "unusable"} {
		if s.String() != word {
			t.Errorf("state %d reads %q, want %q", s, s, word)
		}
	}
	for _, s := range []State{Active, Disabled} {
		if got, err := ParseState(s.String()); err != nil || got != s {
			t.Errorf("%s: got %s, %v", s, got, err)
		}
	}
	for _, word := range []string{"", "Active", "off", " active", "revoked", "unusable"} {
		if got, err := ParseState(word); err == nil || got == Active {
			t.Errorf("%q: got %s, %v", word, got, err)
		}
	}
	if State(7).String() != "disabled" {
		t.Error("an unknown state does not read as disabled")
	}
}

// A change of any field makes two keys unequal, so that the record is written again.
func TestKeyEquality(t *testing.T) {
	base := func() Key {
		k := sourceKey("a")
		k.NotBefore, k.Expires, k.Feed = noon, noon.Add(time.Hour), "f"
		k.PreviousTokens = []PreviousToken{oldToken("c", noon)}
		return k
	}
	changes := map[string]func(*Key){
		"ID":             func(k *Key) { k.ID = "b" },
		"Name":           func(k *Key) { k.Name = "b" },
		"source":         func(k *Key) { k.Binding.Sources = []string{"other"} },
		"more sources":   func(k *Key) { k.Binding.Sources = append(k.Binding.Sources, "other") },
		"agent":          func(k *Key) { k.Binding = Binding{Agent: NewSecret("k")} },
		"Digest":         func(k *Key) { k.Digest[31]++ },
		"State":          func(k *Key) { k.State = Disabled },
		"NotBefore":      func(k *Key) { k.NotBefore = noon.Add(1) },
		"Expires":        func(k *Key) { k.Expires = time.Time{} },
		"Feed":           func(k *Key) { k.Feed = "g" },
		"Created":        func(k *Key) { k.Created = noon },
		"Hint":           func(k *Key) { k.Hint = "aB3d" },
		"previous token": func(k *Key) { k.PreviousTokens = []PreviousToken{oldToken("a", noon)} },
		"grace period":   func(k *Key) { k.PreviousTokens = []PreviousToken{oldToken("c", noon.Add(1))} },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			a, b := base(), base()
			if !a.equal(&b) {
				t.Fatal("equal keys are reported as different")
			}
			if change(&b); a.equal(&b) || b.equal(&a) {
				t.Error("the change is not detected")
			}
		})
	}
	t.Run("the same time in another zone is no change", func(t *testing.T) {
		a, b := base(), base()
		b.NotBefore = noon.In(time.FixedZone("x", 3600))
		if !a.equal(&b) {
			t.Error("reported as a change")
		}
	})
}
