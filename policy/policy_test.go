package policy

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/ratelimit"
)

func mustParse(t *testing.T, text string) *Policy {
	t.Helper()
	p := new(Policy)
	if err := json.Unmarshal([]byte(text), p); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return p
}

func TestPolicyJSON(t *testing.T) {
	const text = `{"kind":"publishable","origins":["https://docs.example.com","https://*.example.org"],"ips":["192.0.2.0/24","2001:db8::1"],` +
		`"endpoints":["widget"],"limits":{"requests":"600/1m","visitor_requests":"20/1h","streams":50,"visitor_streams":2,` +
		`"questions_per_day":1000,"questions_per_month":20000,"tokens_per_day":1000000000,` +
		`"question_chars":4000,"history_turns":"off","weight":100},"limit_message":"Bitte in {wait_short} erneut."}`
	p := mustParse(t, text)
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(p)
	if err != nil || string(out) != text {
		t.Errorf("got %s, %v", out, err)
	}
	if rate := p.Limits.Requests.Rate(); rate != (ratelimit.Rate{Count: 600, Per: time.Minute}) {
		t.Errorf("requests: %+v", rate)
	}
	if p.Limits.HistoryTurns.Count() != 0 || p.Limits.HistoryTurns.IsZero() {
		t.Error("history_turns is not off")
	}
	if out, err := json.Marshal(new(Policy)); err != nil || string(out) != "{}" {
		t.Errorf("the zero value: %s, %v", out, err)
	}
	if message := mustParse(t, `{"limit_message":"Wait."}`); message.IsZero() || message.Equal(new(Policy)) {
		t.Error("a policy with only a message is the zero value")
	}
	if !p.Equal(mustParse(t, text)) || p.Equal(nil) || p.Equal(new(Policy)) || !new(Policy).IsZero() || p.IsZero() {
		t.Error("Equal or IsZero is wrong")
	}
}

func TestInvalidPolicies(t *testing.T) {
	for text, want := range map[string]string{
		`{"kind":"public"}`:                                    "publishable",
		`{"kind":"publishable"}`:                               "needs origins",
		`{"kind":"publishable","origins":[]}`:                  "needs origins",
		`{"kind":"secret","origins":["*"]}`:                    "cannot have origins",
		`{"origins":["example.com"]}`:                          "an origin must be",
		`{"ips":["192.0.2.1/24"]}`:                             "an IP range must be",
		`{"ips":["192.0.2.256"]}`:                              "an IP range must be",
		`{"endpoints":["health"]}`:                             "endpoints must be of",
		`{"endpoints":["mcp","mcp"]}`:                          "listed twice",
		`{"limits":{"requests":600}}`:                          "600/1m",
		`{"limits":{"requests":"600"}}`:                        "600/1m",
		`{"limits":{"requests":"0/1m"}}`:                       "from 1 to",
		`{"limits":{"requests":"600/1y"}}`:                     "from 1s to 31d",
		`{"limits":{"requests":"600/0"}}`:                      "from 1s to 31d",
		`{"limits":{"streams":"5/1m"}}`:                        "must be a number",
		`{"limits":{"questions_per_day":0}}`:                   "from 1 to 1000000000",
		`{"limits":{"questions_per_month":"5/1m"}}`:            "must be a number",
		`{"limits":{"tokens_per_day":1000000001}}`:             "from 1 to 1000000000",
		`{"limits":{"streams":-1}}`:                            "from 1 to",
		`{"limits":{"streams":1.5}}`:                           "must be a number",
		`{"limits":{"streams":true}}`:                          "must be a number, a rate",
		`{"limits":{"stream":5}}`:                              "unknown limit",
		`{"limits":{"streams":2,"visitor_streams":3}}`:         "must not be above",
		`{"limit_message":"in {seconds}"}`:                     "unknown placeholder",
		`{"limit_message":"two\nlines"}`:                       "single line",
		`{"origins":[` + strings.Repeat(`"*",`, 100) + `"*"]}`: "at most 100",
	} {
		p := new(Policy)
		err := json.Unmarshal([]byte(text), p)
		if err == nil {
			err = p.Validate()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v, want %q", text, err, want)
		}
	}
}

func TestLimitsOr(t *testing.T) {
	site := mustParse(t, `{"limits":{"requests":"10/1s","streams":5,"visitor_streams":2}}`).Limits
	key := mustParse(t, `{"limits":{"requests":"off","visitor_streams":false,"history_turns":3}}`).Limits
	merged := key.Or(&site)
	for name, want := range map[string]string{
		"requests": "off", "streams": "5", "visitor_streams": "off", "history_turns": "3", "visitor_requests": "", "question_chars": "",
	} {
		if got, ok := merged.Get(name); !ok || got.String() != want {
			t.Errorf("%s: %q, want %q", name, got.String(), want)
		}
	}
}

// No limit is forgotten.
func TestLimitsOrHasAllFields(t *testing.T) {
	var none, merged Limits
	all := NoLimits()
	all.Weight = Limit{value: 3}
	if merged = all.Or(&none); merged != all {
		t.Errorf("set limits: %+v", merged)
	}
	if merged = none.Or(&all); merged != all {
		t.Errorf("defaults: %+v", merged)
	}
}

func BenchmarkLimitsOr(b *testing.B) {
	site, key := DefaultLimits(), Limits{Streams: Limit{value: 50}}
	b.ReportAllocs()
	for b.Loop() {
		_ = key.Or(&site)
	}
}

// A weight is a number, and limits nothing.
func TestWeight(t *testing.T) {
	var l Limits
	for text, want := range map[string]string{
		"1": "", "100": "", "0": "weight must be from 1 to 100", "101": "weight must be from 1 to 100", "off": "weight must be a number",
		"1/1m": "weight must be a number", "1.5": "weight must be a number",
	} {
		got := ""
		if err := l.Set("weight", text); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
	if l := NoLimits(); !l.Weight.IsZero() {
		t.Error("without limits the weight is off")
	}
}

func TestCheck(t *testing.T) {
	const page = "https://docs.example.com"
	for name, c := range map[string]struct {
		policy  string
		request Request
		want    Reason
	}{
		"no policy":                 {`{}`, Request{Origin: page, Browser: true, Endpoint: "widget"}, Allowed},
		"a page of the key":         {`{"kind":"publishable","origins":["https://docs.example.com"]}`, Request{Origin: page, Browser: true}, Allowed},
		"another page":              {`{"origins":["https://docs.example.com"]}`, Request{Origin: "https://evil.example", Browser: true}, OriginNotAllowed},
		"no origin":                 {`{"origins":["https://docs.example.com"]}`, Request{}, OriginNotAllowed},
		"any origin":                {`{"kind":"publishable","origins":["*"]}`, Request{}, Allowed},
		"a secret key on a server":  {`{"kind":"secret"}`, Request{}, Allowed},
		"a secret key in a browser": {`{"kind":"secret"}`, Request{Browser: true}, SecretKeyInBrowser},
		"an address of the key":     {`{"ips":["192.0.2.0/24"]}`, Request{Address: netip.MustParseAddr("192.0.2.7")}, Allowed},
		"the same, mapped":          {`{"ips":["192.0.2.0/24"]}`, Request{Address: netip.MustParseAddr("::ffff:192.0.2.7")}, Allowed},
		"another address":           {`{"ips":["192.0.2.0/24"]}`, Request{Address: netip.MustParseAddr("198.51.100.7")}, IPNotAllowed},
		"an unknown address":        {`{"ips":["0.0.0.0/0","::/0"]}`, Request{}, IPNotAllowed},
		"an address with a zone":    {`{"ips":["fe80::/64"]}`, Request{Address: netip.MustParseAddr("fe80::1%eth0")}, Allowed},
		"an endpoint of the key":    {`{"endpoints":["widget","openai"]}`, Request{Endpoint: "openai"}, Allowed},
		"another endpoint":          {`{"endpoints":["widget"]}`, Request{Endpoint: "mcp"}, EndpointNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			if got := mustParse(t, c.policy).Check(&c.request); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// A pasted token must not be in an error, which is logged.
func TestErrorsDoNotRepeatValues(t *testing.T) {
	const token = "dgk_canary0123456789"
	for _, text := range []string{
		`{"kind":"` + token + `"}`, `{"origins":["` + token + `"]}`, `{"ips":["` + token + `"]}`, `{"endpoints":["` + token + `"]}`,
		`{"limits":{"` + token + `":5}}`, `{"limits":{"` + token + `":{}}}`, `{"limits":{"requests":"` + token + `"}}`,
		`{"limit_message":"{` + token + `}"}`, `{"limits":{"requests":"5/` + token + `"}}`, `{"limits":{"streams":"` + token + `"}}`,
	} {
		p := new(Policy)
		err := json.Unmarshal([]byte(text), p)
		if err == nil {
			err = p.Validate()
		}
		if err == nil || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
