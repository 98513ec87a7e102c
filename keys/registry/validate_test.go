package registry_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/policy"
)

// strict returns rules that accept at most two sources, in hex; the canonical spelling is lower case.
func strict() registry.Rules {
	return registry.Rules{
		CheckSource: func(id string) (string, error) {
			if strings.Trim(strings.ToLower(id), "0123456789abcdef") != "" {
				return "", errors.New("not a source id")
			}
			return strings.ToLower(id), nil
		},
		CheckSources: func(n int) error {
			if n > 2 {
				return errors.New("this DocsGPT supports at most 2")
			}
			return nil
		},
		Resolve: func(placeholder string) (string, error) {
			if placeholder == "{env.AGENT}" {
				return agentKey + "\n", nil
			}
			return "", errors.New(agentKey)
		},
		AgentOf: func(id string) (keys.Secret, bool) { return keys.NewSecret(agentKey), id == "other" },
	}
}

func TestCreateReportsAllFieldErrors(t *testing.T) {
	ok := registry.CreateRequest{Name: "a", Sources: []string{"AB"}}
	mistyped := keys.TokenPrefix(policy.AnyKind) + strings.Repeat("a", 36) // with a wrong checksum
	cases := []struct {
		name   string
		change func(*registry.CreateRequest)
		want   []string // fields
	}{
		{"good", func(*registry.CreateRequest) {}, nil},
		{"no name", func(d *registry.CreateRequest) { d.Name = " \t " }, []string{"name"}},
		{"200 characters that are 4 bytes each", func(d *registry.CreateRequest) { d.Name = strings.Repeat("\U0001F600", 200) }, nil},
		{"201 characters", func(d *registry.CreateRequest) { d.Name = strings.Repeat("a", 201) }, []string{"name"}},
		{"10,000 characters", func(d *registry.CreateRequest) { d.Name = strings.Repeat("a", 10000) }, []string{"name"}},
		{"a name of two lines", func(d *registry.CreateRequest) { d.Name = "a\nb" }, []string{"name"}},
		{"a name with a line separator", func(d *registry.CreateRequest) { d.Name = "a\u2028b" }, []string{"name"}},
		{"a name with NUL", func(d *registry.CreateRequest) { d.Name = "a\x00b" }, []string{"name"}},
		{"a name that is not UTF-8", func(d *registry.CreateRequest) { d.Name = "a\xff" }, []string{"name"}},
		{"a name that is HTML", func(d *registry.CreateRequest) { d.Name = "<script>alert(1)</script>" }, nil},
		{"a token as name", func(d *registry.CreateRequest) { d.Name = " " + keys.NewToken(policy.AnyKind) }, []string{"name"}},
		{"a mistyped token as name", func(d *registry.CreateRequest) { d.Name = mistyped }, []string{"name"}},
		{"a token as source", func(d *registry.CreateRequest) { d.Sources = []string{"ab", keys.NewToken(policy.AnyKind) + " "} }, []string{"sources"}},
		{"a mistyped token as reference", func(d *registry.CreateRequest) { d.Sources, d.Agent = nil, mistyped }, []string{"agent"}},
		{"no binding", func(d *registry.CreateRequest) { d.Sources = nil }, []string{"sources"}},
		{"two bindings", func(d *registry.CreateRequest) { d.Agent = "{env.AGENT}" }, []string{"agent"}},
		{"three bindings", func(d *registry.CreateRequest) { d.Agent, d.AgentKey = "{env.AGENT}", agentKey }, []string{"agent", "agent_key"}},
		{"two bad sources", func(d *registry.CreateRequest) { d.Sources = []string{"x", "ab", "y"} }, []string{"sources", "sources"}},
		{"an empty source", func(d *registry.CreateRequest) { d.Sources = []string{""} }, []string{"sources"}},
		{"too many sources for the DocsGPT", func(d *registry.CreateRequest) { d.Sources = []string{"1", "2", "3"} }, []string{"sources"}},
		{"one source in two spellings", func(d *registry.CreateRequest) { d.Sources = []string{"AB", "1", "ab "} }, nil},
		{"too many sources", func(d *registry.CreateRequest) { d.Sources = make([]string, 257) }, []string{"sources"}},
		{"placeholder", func(d *registry.CreateRequest) { d.Sources, d.Agent = nil, "{env.AGENT}" }, nil},
		{"placeholder without a value", func(d *registry.CreateRequest) { d.Sources, d.Agent = nil, "{env.NONE}" }, []string{"agent"}},
		{"another feed's key", func(d *registry.CreateRequest) { d.Sources, d.Agent = nil, "other" }, nil},
		{"a key that does not exist", func(d *registry.CreateRequest) { d.Sources, d.Agent = nil, agentKey }, []string{"agent"}},
		{"invalid reference", func(d *registry.CreateRequest) { d.Sources, d.Agent = nil, "{http.request.host}" }, []string{"agent"}},
		{"agent key", func(d *registry.CreateRequest) { d.Sources, d.AgentKey = nil, agentKey }, nil},
		{"agent key with spaces", func(d *registry.CreateRequest) { d.Sources, d.AgentKey = nil, "a b" }, []string{"agent_key"}},
		{"a token as agent key", func(d *registry.CreateRequest) { d.Sources, d.AgentKey = nil, keys.NewToken(policy.AnyKind) }, []string{"agent_key"}},
		{"a token as reference", func(d *registry.CreateRequest) { d.Sources, d.Agent = nil, keys.NewToken(policy.AnyKind) }, []string{"agent"}},
		{"expires now", func(d *registry.CreateRequest) { d.Expires = noon }, []string{"expires"}},
		{"expires before it begins", func(d *registry.CreateRequest) {
			d.NotBefore, d.Expires = noon.Add(2*time.Hour), noon.Add(time.Hour)
		}, []string{"expires"}},
		{"a time after 9999", func(d *registry.CreateRequest) { d.Expires = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, []string{"expires"}},
		{"a time before 1970", func(d *registry.CreateRequest) { d.NotBefore = time.Date(1960, 1, 1, 0, 0, 0, 0, time.UTC) }, []string{"not_before"}},
		{"display texts", func(d *registry.CreateRequest) {
			d.Prompt, d.Chunks, d.Retriever = "a\nb", strings.Repeat("2", 201), "\xff"
		}, []string{"prompt_id", "chunks", "retriever"}},
		{"all at once", func(d *registry.CreateRequest) {
			*d = registry.CreateRequest{Name: "\n\n", Sources: []string{"x"}, Expires: noon.Add(-time.Hour)}
		}, []string{"name", "sources", "expires"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := newRegistryTest(t)
			d.SetRules(strict())
			d.hide(agentKey)
			draft := ok
			c.change(&draft)
			d.hide(draft.AgentKey)
			made, err := d.Create(t.Context(), alice, draft)
			if got := fields(err); !slices.Equal(got, c.want) {
				t.Fatalf("fields %v, want %v: %v", got, c.want, err)
			}
			if err != nil {
				d.assertNoSecret("the error", err.Error())
				if len(err.Error()) > 500 {
					t.Errorf("an error of %d bytes", len(err.Error()))
				}
				if made != nil || len(d.auditTrail()) != 0 {
					t.Error("an invalid request was written")
				}
				return
			}
			d.want(d.hide(made.Token.Reveal()), keys.Allowed)
			for _, s := range made.Record.Sources {
				if s != strings.ToLower(s) {
					t.Errorf("source %s is not in its canonical spelling", s)
				}
			}
			d.assertNoSecretStored()
		})
	}
}

func TestDocsGPTKeyAsReferenceIsRejected(t *testing.T) {
	d := newRegistryTest(t)
	for _, ref := range []string{agentKey, strings.ReplaceAll(agentKey, "-", ""), keys.NewToken(policy.AnyKind)} {
		_, err := d.Create(t.Context(), alice, registry.CreateRequest{Name: "a", Agent: ref})
		if got := fields(err); !slices.Equal(got, []string{"agent"}) || strings.Contains(err.Error(), ref) {
			t.Errorf("a DocsGPT key in agent: %v", err)
		}
	}
}

func TestUpdateReportsFieldErrors(t *testing.T) {
	d := newRegistryTest(t)
	id, _ := d.create(func(d *registry.CreateRequest) { d.NotBefore = noon })
	cases := []struct {
		name string
		edit registry.UpdateRequest
		want []string
	}{
		{"name", registry.UpdateRequest{Name: pointer(strings.Repeat("a", 10000))}, []string{"name"}},
		{"times", registry.UpdateRequest{Expires: pointer(noon)}, []string{"expires"}},
		{"state", registry.UpdateRequest{State: pointer(keys.Revoked)}, []string{"state"}},
		{"all", registry.UpdateRequest{Name: pointer(""), Expires: pointer(noon), State: pointer(keys.BindingUnavailable)}, []string{"name", "expires", "state"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := d.Update(t.Context(), alice, id, c.edit)
			if got := fields(err); !slices.Equal(got, c.want) {
				t.Errorf("fields %v, want %v", got, c.want)
			}
		})
	}
	if len(d.auditTrail()) != 1 {
		t.Error("an invalid update was written")
	}
}

func TestInUseByAnotherFeed(t *testing.T) {
	d := newRegistryTest(t)
	digest := keys.DigestOf("an old token")
	d.SetRules(registry.Rules{FeedOf: func(id string, d keys.Digest) string {
		if id == "docs" || d == digest {
			return "file:keys.yaml"
		}
		return ""
	}})
	_, err := d.Import(t.Context(), alice, []registry.Import{
		{ID: "docs", Sources: []string{sourceID}},
		{ID: "free", Sources: []string{sourceID}, Digest: digest},
		{ID: "fine", Sources: []string{sourceID}},
	}, false)
	if got := fields(err); !slices.Equal(got, []string{"id", "sha256"}) || !strings.Contains(err.Error(), "file:keys.yaml") {
		t.Errorf("fields %v: %v", got, err)
	}
	d.SetRules(registry.Rules{FeedOf: func(string, keys.Digest) string { return "file:keys.yaml" }})
	if _, err := d.Create(t.Context(), alice, registry.CreateRequest{Name: "a", Sources: []string{sourceID}}); !errors.Is(err, registry.ErrExists) {
		t.Errorf("create: %v", err)
	}
}
