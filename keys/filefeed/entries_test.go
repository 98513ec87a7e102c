package filefeed

import (
	"errors"
	"testing"

	"github.com/docsgate/docsgate/keys"
)

// TestEntriesKeepAgentsAsWritten: the tokens are resolved, the agents are not even asked for.
func TestEntriesKeepAgentsAsWritten(t *testing.T) {
	asked := 0
	all, err := Entries([]byte(`{"keys": [
{"id": "a", "token": "{env.TOKEN}", "agent": "{env.AGENT}"},
{"id": "b", "sha256": "`+keys.DigestOf("b").Hex()+`", "source": "s", "state": "disabled"}
], "not_exported": ["c"]}`), Options{Resolve: func(p string) (string, error) {
		asked++
		if p != "{env.TOKEN}" {
			return "", errors.New("not to be asked")
		}
		return "the-token", nil
	}})
	if err != nil || len(all) != 2 || asked != 1 {
		t.Fatalf("%d entries, asked %d times, %v", len(all), asked, err)
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
	if faults := Faults(nil); !errors.As(err, &faults) || len(faults) != 2 {
		t.Errorf("%v", err)
	}
}

// TestAFeedKnowsNoExports: what a gate reads all the time holds all its keys.
func TestAFeedKnowsNoExports(t *testing.T) {
	if _, faults := parse([]byte(`{"keys": [], "not_exported": ["c"]}`), testOptions()); len(faults) != 1 {
		t.Errorf("%v", faults)
	}
}
