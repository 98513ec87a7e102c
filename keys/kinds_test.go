package keys

import (
	"testing"

	"github.com/docsgate/docsgate/policy"
)

func TestKinds(t *testing.T) {
	withPolicy := func(id string, p *policy.Policy) Key {
		k := sourceKey(id)
		k.Policy = p
		return k
	}
	page, err := policy.ParseOrigin("https://docs.example.com")
	if err != nil {
		t.Fatal(err)
	}
	anywhere, err := policy.ParseOrigin("*")
	if err != nil {
		t.Fatal(err)
	}
	var limited policy.Limits
	if err := limited.Set("tokens_per_day", "5"); err != nil {
		t.Fatal(err)
	}
	unlimited := policy.Limits{VisitorRequests: policy.Off()}
	bounded := unlimited
	if err := bounded.Set("requests", "600/1m"); err != nil {
		t.Fatal(err)
	}
	disabled := withPolicy("disabled", &policy.Policy{Kind: policy.Secret, Limits: limited})
	disabled.State = Disabled
	s := readyStore(t, sourceKey("a"), withPolicy("b", &policy.Policy{Origins: []policy.Origin{page}}),
		withPolicy("c", &policy.Policy{Kind: policy.Publishable, Origins: []policy.Origin{page}}),
		withPolicy("d", &policy.Policy{Kind: policy.Publishable, Origins: []policy.Origin{page, anywhere}}),
		withPolicy("e", &policy.Policy{Kind: policy.Secret, Limits: limited}), disabled,
		withPolicy("f", &policy.Policy{Limits: unlimited}), withPolicy("g", &policy.Policy{Limits: bounded}),
		withPolicy("h", &policy.Policy{Kind: policy.Secret, Limits: unlimited}))
	for range 2 { // counted, and cached
		if got, want := s.Kinds(noon), (KindCounts{None: 4, Publishable: 1, AnyPage: 1, Secret: 2, TokenLimited: 1, Unlimited: 1}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}
