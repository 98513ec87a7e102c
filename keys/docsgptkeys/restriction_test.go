package docsgptkeys

import (
	"fmt"
	"slices"
	"testing"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
)

// The origins that DocsGPT stores for an agent become those of the key. Entries that DocsGPT ignores never widen them.
func TestOrigins(t *testing.T) {
	many := make([]string, 150)
	for i := range many {
		many[i] = fmt.Sprintf("https://page-%d.example", i)
	}
	for _, c := range []struct {
		name       string
		restricted bool
		origins    []string
		want       []string // nil: the key has no policy
		state      keys.State
	}{
		{name: "not restricted", origins: []string{"https://a.example"}},
		{name: "restricted", restricted: true, origins: []string{"https://a.example", "http://localhost:3000"}, want: []string{"https://a.example", "http://localhost:3000"}},
		{name: "malformed entries", restricted: true, origins: []string{"*", "null", "https://*.example.org", "https://b.example/", "b", "https://b.example"}, want: []string{"https://b.example"}},
		{name: "no valid entry", restricted: true, origins: []string{"*"}, state: keys.Disabled},
		{name: "no entry", restricted: true, state: keys.Disabled},
		{name: "too many entries", restricted: true, origins: many, want: many[:100]},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := agent("1", "k")
			a.RestrictOrigins, a.Origins = c.restricted, c.origins
			set, _ := convert([]Agent{a}, Filter{})
			key := set[0]
			if key.State != c.state {
				t.Errorf("state %v, want %v", key.State, c.state)
			}
			var got []string
			if key.Policy != nil {
				if err := key.Policy.Validate(); err != nil {
					t.Error(err)
				}
				for _, o := range key.Policy.Origins {
					got = append(got, o.String())
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("origins %q, want %q", got, c.want)
			}
		})
	}
}

// The daily limits that DocsGPT stores for an agent become those of the key.
func TestLimits(t *testing.T) {
	for _, c := range []struct{ requests, tokens int }{{0, 0}, {7, 0}, {0, 50000}, {7, 50000}, {-1, -1}, {5_000_000_000, 0}} {
		a := agent("1", "k")
		a.RequestsPerDay, a.TokensPerDay = c.requests, c.tokens
		set, _ := convert([]Agent{a}, Filter{})
		var got policy.Limits
		if p := set[0].Policy; p != nil {
			got = p.Limits
		}
		want := [2]int{max(c.requests, 0), max(c.tokens, 0)}
		if c.requests > 1e9 {
			want[0] = 0
		}
		if got.QuestionsPerDay.Count() != want[0] || got.TokensPerDay.Count() != want[1] {
			t.Errorf("%v: %+v", c, got)
		}
		if (set[0].Policy == nil) != (want == [2]int{}) || set[0].State != keys.Active {
			t.Errorf("%v: policy %+v, state %v", c, set[0].Policy, set[0].State)
		}
	}
}
