package policy

import (
	"encoding/json"
	"testing"
)

func TestOverride(t *testing.T) {
	for _, test := range []struct{ name, base, own, want string }{
		{"nothing", `{}`, `{}`, `{}`},
		{"limits one by one", `{"limits":{"requests":"5/1m","streams":2}}`, `{"limits":{"streams":"off"}}`, `{"limits":{"requests":"5/1m","streams":"off"}}`},
		{"lists", `{"ips":["192.0.2.1"],"endpoints":["mcp"]}`, `{"ips":["192.0.2.2"],"endpoints":["widget"]}`, `{"ips":["192.0.2.2"],"endpoints":["widget"]}`},
		{"new origins", `{}`, `{"kind":"publishable","origins":["https://a.example"]}`, `{"kind":"publishable","origins":["https://a.example"]}`},
		{"origins of base stay", `{"origins":["https://a.example"]}`, `{"ips":["192.0.2.2"]}`, `{"origins":["https://a.example"],"ips":["192.0.2.2"]}`},
		{
			"origins that both allow", `{"origins":["https://a.example.org","https://b.example","http://a.example.org"]}`,
			`{"origins":["https://*.example.org","https://c.example"]}`, `{"origins":["https://a.example.org"]}`,
		},
		{"visitors", `{"visitors":"optional","endpoints":["mcp"]}`, `{"visitors":"required"}`, `{"endpoints":["mcp"],"visitors":"required"}`},
		{"messages", `{"limit_message":"Wait."}`, `{"limit_message":"Wait {wait}."}`, `{"limit_message":"Wait {wait}."}`},
		{"message of base stays", `{"limit_message":"Wait."}`, `{"endpoints":["mcp"]}`, `{"endpoints":["mcp"],"limit_message":"Wait."}`},
		{"any", `{"origins":["https://a.example","null"]}`, `{"origins":["*"]}`, `{"origins":["https://a.example","null"]}`},
		{"subdomains", `{"origins":["https://*.example.org"]}`, `{"origins":["https://a.example.org","https://*.example.org"]}`, `{"origins":["https://a.example.org","https://*.example.org"]}`},
		{"no origin left", `{"origins":["https://a.example"]}`, `{"origins":["https://b.example"]}`, ``},
		{"null is not any", `{"origins":["https://a.example"]}`, `{"origins":["null"]}`, ``},
		{"overlapping subdomains", `{"origins":["https://*.example.org"]}`, `{"origins":["https://*.a.example.org"]}`, ``},
		{"secret", `{"origins":["https://a.example"],"endpoints":["mcp"]}`, `{"kind":"secret"}`, `{"kind":"secret","endpoints":["mcp"]}`},
	} {
		var base, own Policy
		for text, p := range map[string]*Policy{test.base: &base, test.own: &own} {
			if err := json.Unmarshal([]byte(text), p); err != nil {
				t.Fatal(err)
			}
		}
		if test.base == test.own {
			own = base
		}
		got, ok := own.Override(&base)
		text := ""
		if ok {
			b, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			text = string(b)
			if err := got.Validate(); err != nil {
				t.Errorf("%s: the result is invalid: %v", test.name, err)
			}
		}
		if text != test.want {
			t.Errorf("%s: %s, want %s", test.name, text, test.want)
		}
	}
	p := &Policy{Kind: Secret}
	if got, ok := p.Override(nil); got != p || !ok {
		t.Errorf("over nil: %v, %v", got, ok)
	}
	if got, ok := (*Policy)(nil).Override(p); got != p || !ok {
		t.Errorf("of nil: %v, %v", got, ok)
	}
}
