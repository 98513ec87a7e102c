package docsgptkeys

import (
	"fmt"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/keys"
)

func agent(id, key string) Agent {
	return Agent{ID: id, Key: keys.NewSecret(key), Name: "Agent " + id, AgentInfo: keys.AgentInfo{Owner: "local", Status: "published"}}
}

func tokens(set []keys.Key) string {
	var all []string
	for _, k := range set {
		all = append(all, k.Binding.Agent.Reveal())
	}
	return strings.Join(all, " ")
}

// convert returns the keys of agents, and the skipped agents, both sorted by ID.
func convert(agents []Agent, f Filter) (set []keys.Key, skipped []Skipped) {
	sel := f.selector()
	chosen, others := partition(agents, sel)
	for _, o := range others {
		skipped = append(skipped, o.agent.AsSkipped(o.reason))
	}
	return keysOf(chosen, sel), skipped
}

// Every agent with a usable key is converted, and each skipped agent has a reason.
func TestKeys(t *testing.T) {
	draft, foreign, shared := agent("2", "b"), agent("3", "c"), agent("4", "d")
	draft.Status, foreign.Owner, shared.Name = "draft", "ann", "Talk (shared) "
	for _, c := range []struct {
		name    string
		agents  []Agent
		filter  Filter
		want    string
		skipped []string // substrings of the reasons
	}{
		{name: "sorted by id", agents: []Agent{agent("2", "b"), agent("1", "a")}, want: "a b"},
		{name: "a draft without a key", agents: []Agent{agent("1", "")}},
		{name: "a draft with a key", agents: []Agent{draft}, want: "b"},
		{name: "only published, draft", agents: []Agent{draft}, filter: Filter{OnlyPublished: true}, skipped: []string{`"draft"`}},
		{name: "owner", agents: []Agent{agent("1", "a"), foreign}, filter: Filter{Owners: []string{"ann"}}, want: "c", skipped: []string{"owner"}},
		{name: "ids", agents: []Agent{agent("ab", "a"), agent("cd", "b")}, filter: Filter{IDs: []string{" agent_AB"}}, want: "a", skipped: []string{"id"}},
		{name: "shared", agents: []Agent{shared}, skipped: []string{"shared conversation"}},
		{name: "shared, included", agents: []Agent{shared}, filter: Filter{IncludeShared: true}, want: "d"},
		{name: "spellings are different keys", agents: []Agent{agent("1", "Key"), agent("2", "key")}, want: "Key key"},
		{name: "duplicate key", agents: []Agent{agent("2", "k"), agent("1", "k"), agent("3", "k")}, want: "k", skipped: []string{"agent 1", "agent 1"}},
		{name: "duplicate of a skipped agent", agents: []Agent{shared, agent("5", "d")}, want: "d", skipped: []string{"shared"}},
		{name: "duplicate id", agents: []Agent{agent("1", "a"), agent("1", "b")}, want: "a", skipped: []string{"same id"}},
		{name: "keys that cannot be presented", agents: []Agent{agent("1", "a b"), agent("2", "\u212a"), agent("3", strings.Repeat("x", 513))}, skipped: []string{"ASCII", "ASCII", "ASCII"}},
		{name: "ids that cannot be part of a key's id", agents: []Agent{agent("", "a"), agent("a b", "b"), agent(strings.Repeat("x", 121), "c")}, skipped: []string{"id", "id", "id"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			set, skipped := convert(c.agents, c.filter)
			if got := tokens(set); got != c.want {
				t.Errorf("converted %q, want %q", got, c.want)
			}
			if len(skipped) != len(c.skipped) {
				t.Fatalf("skipped: %+v, want %d", skipped, len(c.skipped))
			}
			for i, l := range skipped {
				if !strings.Contains(l.Reason, c.skipped[i]) {
					t.Errorf("skipped because %q, want %q in it", l.Reason, c.skipped[i])
				}
			}
			if _, err := keys.NewStore().Replace("f", set); err != nil {
				t.Errorf("the store rejects them: %v", err)
			}
		})
	}
}

func TestAgentKey(t *testing.T) {
	a := agent("7", "Key-7")
	a.AgentInfo.Sources = []string{"s"}
	set, _ := convert([]Agent{a}, Filter{})
	k := set[0]
	if k.ID != "agent_7" || k.Digest != keys.DigestOf("Key-7") || k.Binding.Kind() != keys.AgentBinding || k.State != keys.Active ||
		k.Facts.Owner != "local" || len(k.Facts.Sources) != 1 || k.Hint != "" {
		t.Errorf("key: %+v, facts %+v", k, k.Facts)
	}
}

func TestDisplayName(t *testing.T) {
	for name, want := range map[string]string{
		"Docs":                   "Docs",
		"  two\t\nlines ":        "two lines",
		"\x1b[31mred\u202e\x00":  "[31mred",
		"bad \xff bytes":         "bad \ufffd bytes",
		"":                       "id",
		"\u200b":                 "id",
		strings.Repeat("ü", 201): strings.Repeat("ü", 199) + "…",
	} {
		a := agent("id", "k")
		a.Name = name
		set, _ := convert([]Agent{a}, Filter{})
		if set[0].Name != want {
			t.Errorf("%q: %q, want %q", name, set[0].Name, want)
		}
	}
}

func TestExcludedKeys(t *testing.T) {
	agents := []Agent{{ID: "a1", Key: keys.NewSecret("key-1")}, {ID: "A2", Key: keys.NewSecret("key-2")}, {ID: "a3", Key: keys.NewSecret("key-3")}}
	set, skipped := convert(agents, Filter{Excluded: []string{"agent_a2", "A3"}})
	if len(set) != 3 || len(skipped) != 0 {
		t.Fatalf("%d keys, %d skipped; an excluded key must exist so that other keys can refer to it", len(set), len(skipped))
	}
	for _, k := range set {
		if excluded := strings.ToLower(k.ID) != "agent_a1"; (k.State == keys.Disabled) != excluded {
			t.Errorf("%s is %v", k.ID, k.State)
		}
	}
}

func TestDedup(t *testing.T) {
	if got := Dedup([]string{"", "b", "a", "b", ""}); strings.Join(got, ",") != "b,a" {
		t.Errorf("%q", got)
	}
	if got := Dedup([]string{"", ""}); got != nil {
		t.Errorf("%q, want nil", got)
	}
	many := make([]string, 500_000) // with quadratic time this would take minutes
	for i := range many {
		many[i] = strings.Repeat("x", 30) + fmt.Sprint(i)
	}
	if got := Dedup(many); len(got) != len(many) {
		t.Errorf("%d of %d", len(got), len(many))
	}
}

func TestHint(t *testing.T) {
	const uuid = "0c1f7a4e-93b8-4d59-a53c-5d1e2b7f6a90"
	set, _ := convert([]Agent{agent("1", uuid), agent("2", "short-key")}, Filter{})
	if set[0].Hint != "6a90" || set[1].Hint != "" {
		t.Errorf("hints %q and %q", set[0].Hint, set[1].Hint)
	}
}
