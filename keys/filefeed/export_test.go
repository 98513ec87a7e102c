package filefeed

import (
	"errors"
	"testing"

	"github.com/docsgate/docsgate/keys"
)

// Tokens are resolved, agents are not.
func TestEntriesDoNotResolveAgents(t *testing.T) {
	resolved := 0
	all, err := Entries([]byte(`{"keys": [
{"id": "a", "token": "{env.TOKEN}", "agent": "{env.AGENT}"},
{"id": "b", "sha256": "`+keys.DigestOf("b").Hex()+`", "source": "s", "state": "disabled"}
], "skipped": ["c"]}`), Options{Resolve: func(p string) (string, error) {
		resolved++
		if p != "{env.TOKEN}" {
			return "", errors.New("unexpected placeholder")
		}
		return "the-token", nil
	}})
	if err != nil || len(all) != 2 || resolved != 1 {
		t.Fatalf("%d entries, %d placeholders resolved, %v", len(all), resolved, err)
	}
	a, b := all[0], all[1]
	if a.Agent != "{env.AGENT}" || !a.Key.Binding.Agent.IsZero() || a.Key.Digest != keys.DigestOf("the-token") || a.Line != 2 {
		t.Errorf("a: %+v", a)
	}
	if b.Agent != "" || len(b.Key.Binding.Sources) != 1 || b.Key.State != keys.Disabled || b.Line != 3 {
		t.Errorf("b: %+v", b)
	}
}

func TestEntriesWithFaults(t *testing.T) {
	_, err := Entries([]byte("keys:\n- id: a\n  agent: in-clear\n"), Options{})
	if faults := ErrorList(nil); !errors.As(err, &faults) || len(faults) != 2 {
		t.Errorf("%v", err)
	}
}

// A key file of a feed must not contain the additional fields of an export.
func TestFeedRejectsExportFields(t *testing.T) {
	if _, faults := parse([]byte(`{"keys": [], "skipped": ["c"]}`), testOptions()); len(faults) != 1 {
		t.Errorf("%v", faults)
	}
}
