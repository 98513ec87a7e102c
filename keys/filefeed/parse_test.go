package filefeed

import (
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// Equivalent files in both formats result in the same keys.
func TestParseValidFiles(t *testing.T) {
	first := keys.Key{
		ID: "docs-site", Name: "Docs site widget", Digest: keys.DigestOf("token-a"),
		Binding: keys.Binding{Sources: []string{"src-1", "src-2"}},
	}
	second := keys.Key{
		ID: "support", Name: "support", Digest: keys.DigestOf("token-b"),
		Binding: keys.Binding{Agent: keys.NewSecret("agent-secret-9f8e7d")}, State: keys.Disabled,
		NotBefore: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), Expires: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	cases := map[string]struct {
		file string
		want []keys.Key
	}{
		"YAML": {`# the keys
keys:
  - id: docs-site
    name: Docs site widget
    sha256: $A
    source: ["src-1", SRC-2]
  - id: support
    token: "{env.TOKEN_B}"
    agent: "{env.AGENT}"
    state: disabled
    not_before: 2026-01-01T01:00:00+01:00
    expires: 2027-01-01
`, []keys.Key{first, second}},
		"YAML, other spellings": {`keys:
- {expires: "2027-01-01T00:00:00Z", not_before: 2026-01-01 00:00:00, state: "disabled", agent: "{env.AGENT}",
   token: '{file.keys/token.b}', id: support, name: ""}
- id: "docs-site"
  name: >-
    Docs site
    widget
  source:
    - src-1
    - src-2
  state: active
  sha256: |-
    $A
`, []keys.Key{second, first}},
		"YAML with CRLF and a byte order mark": {
			"\xef\xbb\xbfkeys:\r\n  - id: docs-site\r\n    name: Docs site widget\r\n    sha256: $A\r\n" +
				"    source: [src-1, src-2]\r\n",
			[]keys.Key{first},
		},
		"JSON with tabs": {`{
	"keys":	[
		{"id": "docs-site", "name": "Docs site\u0020widget", "sha256": "$A", "source": ["src-1", "src-2"]},
		{"id": "support", "token": "{env.TOKEN_B}", "agent": "{env.AGENT}", "state": "disabled",
		 "not_before": "2026-01-01T00:00:00Z", "expires": "2027-01-01"}
	]
}`, []keys.Key{first, second}},
		"no keys":       {"keys: []\n", nil},
		"no keys, JSON": {"\n { \"keys\" : [ ] } \n", nil},
		"one source as text": {"keys: [{id: k, sha256: $A, source: src-1}]", []keys.Key{{
			ID: "k", Name: "k", Digest: keys.DigestOf("token-a"), Binding: keys.Binding{Sources: []string{"src-1"}},
		}}},
		"an agent key from a file": {`keys: [{id: k, sha256: $A, agent: "{file./run/agent}"}]`, []keys.Key{{
			ID: "k", Name: "k", Digest: keys.DigestOf("token-a"),
			Binding: keys.Binding{Agent: keys.NewSecret("agent-from-file")},
		}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, faults := parse([]byte(fill(tc.file)), testOptions())
			if len(faults) > 0 {
				t.Fatalf("faults:\n%v", faults)
			}
			compare(t, got, tc.want)
		})
	}
}

// compare compares keys by means of a store: two sets are equal if replacing one with the other changes nothing.
func compare(t *testing.T, got, want []keys.Key) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d keys, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i].ID != want[i].ID {
			t.Errorf("key %d is %s, want %s", i, got[i].ID, want[i].ID)
		}
	}
	store := keys.NewStore()
	if _, err := store.Replace("f", want); err != nil {
		t.Fatal(err)
	}
	change, err := store.Replace("f", got)
	if err != nil || !change.IsZero() {
		t.Errorf("the keys differ (%+v, %v):\n got %+v\nwant %+v", change, err, got, want)
	}
}
