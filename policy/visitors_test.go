package policy

import (
	"encoding/json"
	"testing"
)

func TestParseVisitors(t *testing.T) {
	for text, want := range map[string]Visitors{"off": VisitorsOff, "optional": VisitorsOptional, "required": VisitorsRequired} {
		if got, err := ParseVisitors(text); err != nil || got != want || got.String() != text {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "on", "Required", "true"} {
		if _, err := ParseVisitors(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
	data, err := json.Marshal(Policy{Visitors: VisitorsRequired})
	if err != nil || string(data) != `{"visitors":"required"}` {
		t.Errorf("%s, %v", data, err)
	}
}

func TestVisitorsArePartOfThePolicy(t *testing.T) {
	p, o := &Policy{Visitors: VisitorsOptional}, &Policy{Visitors: VisitorsRequired}
	if p.IsZero() || p.Equal(o) || !p.Equal(&Policy{Visitors: VisitorsOptional}) {
		t.Error("visitors are not compared")
	}
}

func TestSignedTokenOfSecretKey(t *testing.T) {
	p := &Policy{Kind: Secret}
	if got := p.Check(&Request{Browser: true, Signed: true}); got != Allowed {
		t.Errorf("signed: %q", got)
	}
	if got := p.Check(&Request{Browser: true}); got != SecretKeyInBrowser {
		t.Errorf("own token: %q", got)
	}
}

func TestLowerNumbers(t *testing.T) {
	set := func(pairs ...string) (l Limits) {
		for i := 0; i < len(pairs); i += 2 {
			if err := l.Set(pairs[i], pairs[i+1]); err != nil {
				t.Fatal(err)
			}
		}
		return l
	}
	for _, test := range []struct{ key, token, want Limits }{
		{set("visitor_streams", "2"), set("visitor_streams", "1"), set("visitor_streams", "1")},
		{set("visitor_streams", "2"), set("visitor_streams", "3"), set("visitor_streams", "2")},
		{set(), set("question_chars", "3"), set("question_chars", "3")},
		{set("question_chars", "off"), set("question_chars", "3"), set("question_chars", "3")},
		{set("question_chars", "5"), set(), set("question_chars", "5")},
		{set("question_chars", "off"), set(), set("question_chars", "off")},
		{set("visitor_requests", "5/1m"), set("visitor_requests", "1/1m"), set("visitor_requests", "5/1m")}, // checked apart
	} {
		before := test.key
		if got := test.key.LowerNumbers(&test.token); got != test.want || test.key != before {
			t.Errorf("%+v with %+v: %+v", test.key, test.token, got)
		}
	}
}
