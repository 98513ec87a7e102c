package registry_test

import (
	"strings"
	"testing"

	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/policy"
)

func TestPolicyChange(t *testing.T) {
	limits := func(settings ...string) (l policy.Limits) {
		for _, s := range settings {
			name, value, _ := strings.Cut(s, "=")
			if err := l.Set(name, value); err != nil {
				t.Fatal(err)
			}
		}
		return l
	}
	origin, err := policy.ParseOrigin("https://docs.example.com")
	if err != nil {
		t.Fatal(err)
	}
	old := &policy.Policy{
		Kind: policy.Publishable, Origins: []policy.Origin{origin}, Endpoints: []string{"widget"},
		Limits: limits("requests=600/1m", "streams=50"),
	}
	for _, test := range []struct {
		name   string
		change registry.PolicyChange
		old    *policy.Policy
		want   *policy.Policy
	}{
		{"nothing", registry.PolicyChange{}, old, old},
		{"nothing of nothing", registry.PolicyChange{}, nil, nil},
		{
			"kind and origins",
			registry.PolicyChange{Kind: new(policy.Secret), Origins: new([]policy.Origin)},
			old,
			&policy.Policy{Kind: policy.Secret, Endpoints: []string{"widget"}, Limits: limits("requests=600/1m", "streams=50")},
		},
		{
			"limits",
			registry.PolicyChange{Limits: limits("streams=off", "history_turns=5"), Default: []string{"requests"}},
			old,
			&policy.Policy{
				Kind: policy.Publishable, Origins: []policy.Origin{origin}, Endpoints: []string{"widget"},
				Limits: limits("streams=off", "history_turns=5"),
			},
		},
		{
			"message",
			registry.PolicyChange{LimitMessage: new(policy.LimitMessage("Wait {wait}."))},
			&policy.Policy{Kind: policy.Secret, LimitMessage: "Wait."},
			&policy.Policy{Kind: policy.Secret, LimitMessage: "Wait {wait}."},
		},
		{
			"message of the site",
			registry.PolicyChange{LimitMessage: new(policy.LimitMessage(""))},
			&policy.Policy{LimitMessage: "Wait."}, nil,
		},
		{
			"everything removed",
			registry.PolicyChange{
				Kind: new(policy.AnyKind), Origins: new([]policy.Origin), Endpoints: new([]string), Default: policy.LimitNames(),
			},
			old, nil,
		},
		{"of nothing", registry.PolicyChange{Kind: new(policy.Secret)}, nil, &policy.Policy{Kind: policy.Secret}},
	} {
		before := *old
		if got := test.change.Apply(test.old); !got.Equal(test.want) {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
		if !old.Equal(&before) {
			t.Fatalf("%s: the old policy has been modified", test.name)
		}
	}
}
