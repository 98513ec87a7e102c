package keyservice_test

import (
	"slices"
	"testing"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

// Keys that are bound to an agent have its name and its sources if the agent's own key is adopted, whichever feed they come from.
func TestAgentName(t *testing.T) {
	d := newServiceTest(t)
	agent := keys.NewSecret(agentKey)
	adopted := keys.Key{
		ID: "agent_7", Name: "Support", Digest: keys.DigestOf(agentKey), Hint: "cdef", Binding: keys.Binding{Agent: agent},
		Facts: &keys.AgentInfo{Sources: []string{"manual", "faq"}},
	}
	inFile := keys.Key{ID: "in-file", Name: "In a file", Digest: keys.DigestOf("1"), Binding: keys.Binding{Agent: agent}}
	other := keys.Key{ID: "other", Name: "Of another agent", Digest: keys.DigestOf("2"), Binding: keys.Binding{Agent: keys.NewSecret("unknown")}}
	for feed, set := range map[string][]keys.Key{"docsgpt:db/docsgpt": {adopted}, "file:more.yaml": {inFile, other}} {
		if _, err := d.Store.Replace(feed, set); err != nil {
			t.Fatal(err)
		}
	}
	d.Registry.SetRules(registry.Rules{
		Resolve: func(string) (string, error) { return agentKey, nil },
		AgentOf: func(string) (keys.Secret, bool) { return agent, true },
	})
	for name, draft := range map[string]registry.CreateRequest{
		"placeholder": {Agent: "{env.AGENT}"}, "pasted": {AgentKey: agentKey}, "by ID": {Agent: "agent_7"}, "disabled": {Agent: "agent_7"},
	} {
		draft.Name = name
		made, err := d.Registry.Create(t.Context(), by, draft)
		if err != nil {
			t.Fatal(err)
		}
		if state := keys.Disabled; name == "disabled" {
			if _, err := d.Registry.Update(t.Context(), by, made.Record.ID, registry.UpdateRequest{State: &state}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if url := d.all()["Support"].LogsURL; url != "" {
		t.Errorf("the address of the Logs is %s, although that of DocsGPT is not known", url)
	}
	d.DocsGPTURL = "https://docsgpt.example.com/"
	all := d.all()
	for _, name := range []string{"Support", "In a file", "placeholder", "pasted", "by ID", "disabled"} {
		if k := all[name]; k.AgentName != "Support" || !slices.Equal(k.Sources, []string{"manual", "faq"}) {
			t.Errorf("%s: agent %q with sources %v", name, k.AgentName, k.Sources)
		}
		if k := all[name]; k.LogsURL != "https://docsgpt.example.com/agents/logs/7" {
			t.Errorf("%s: the address of the Logs is %q", name, k.LogsURL)
		}
	}
	if k := all["Of another agent"]; k.AgentName != "" || len(k.Sources) > 0 || k.LogsURL != "" {
		t.Errorf("an unknown agent is %q with sources %v", k.AgentName, k.Sources)
	}
	if masked := all["Support"].Masked; masked != "...cdef" {
		t.Errorf("masked token %s", masked)
	}
}
