package filefeed

import (
	"bytes"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/keys"
)

// fuzzCanary is used as the secret in the fuzzed files, and as the value of placeholders.
const fuzzCanary = "dgk_CANARYsecret"

// FuzzParse checks the guarantees of the parser: it does not panic; faults are sorted by line and contain no secret; keys of a
// file without faults have unique IDs and digests and exactly one binding.
func FuzzParse(f *testing.F) {
	f.Add([]byte("keys:\n- id: a\n  sha256: " + fuzzCanary + "\n  source: s\n  state: disabled\n  expires: 2027-01-01\n"))
	f.Add([]byte("keys: [{id: a, token: \"{env.X}\", agent: \"{env.Y}\"}, {id: a, token: " + fuzzCanary + ", source: [s, s]}]\n"))
	f.Add([]byte("{\"keys\": [{\"id\": \"a\", \"token\": \"{env.X}\", \"agent\": \"" + fuzzCanary + "\"}]}"))
	f.Add([]byte("keys: &a\n- *a\n- <<: *a\n- !t {? [x] : y}\n--- |\n" + fuzzCanary))
	o := &Options{Resolve: func(p string) (string, error) { return fuzzCanary + p[:min(len(p), 9)], nil }}
	f.Fuzz(func(t *testing.T, data []byte) {
		set, faults := parse(data, o)
		if len(faults) > 0 {
			if set != nil {
				t.Error("both keys and faults")
			}
			checkFaults(t, data, faults)
			return
		}
		store := keys.NewStore() // it rejects duplicate IDs and digests, and invalid bindings
		if _, err := store.Replace("fuzz", set); err != nil {
			t.Errorf("the store rejects keys that were parsed without a fault: %v", err)
		}
		for i := range set {
			k := &set[i]
			if !keys.IsValidID(k.ID) || k.Name == "" || k.Digest.IsZero() || k.Binding.Kind() == 0 {
				t.Errorf("invalid key %+v", k)
			}
			if !k.NotBefore.IsZero() && !k.Expires.IsZero() && !k.Expires.After(k.NotBefore) {
				t.Errorf("key %+v expires before it becomes valid", k)
			}
		}
	})
}

func checkFaults(t *testing.T, data []byte, faults ErrorList) {
	t.Helper()
	lines := 1 + bytes.Count(data, []byte("\n")) + bytes.Count(data, []byte("\r")) +
		bytes.Count(data, []byte("\u0085")) + bytes.Count(data, []byte("\u2028")) + bytes.Count(data, []byte("\u2029"))
	for i, fault := range faults {
		if fault.Line < 1 || fault.Line > lines || i > 0 && fault.Line < faults[i-1].Line {
			t.Errorf("fault %d is on line %d of %d", i, fault.Line, lines)
		}
		// An ID, the name of a variable and the path of a file may be part of a message.
		text := strings.ReplaceAll(fault.Message, "{env."+fuzzCanary, "")
		if strings.Contains(text, "CANARY") && !strings.HasPrefix(text, "id ") &&
			!strings.Contains(text, "same token as key ") && !strings.Contains(text, "{file.") && !strings.Contains(text, "{env.") {
			t.Errorf("the fault contains a secret: %s", text)
		}
	}
}
