package filefeed

import (
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/policy"
	"github.com/docsgate/docsgate/ratelimit"
)

func TestParsePolicy(t *testing.T) {
	for name, file := range map[string]string{
		"YAML": `keys:
  - id: docs-site
    sha256: $A
    source: [src-1]
    kind: publishable
    origins: ["https://Docs.example.com:443", "https://*.example.org"]
    ips: ["192.0.2.0/24"]
    endpoints: [widget]
    limits:
      requests: 600/1m
      visitor_requests: off
      streams: 50
      history_turns: "off"
    limit_message: "Bitte in {wait_short} erneut."
`,
		"JSON": `{"keys": [{"id": "docs-site", "sha256": "$A", "source": ["src-1"], "kind": "publishable",
			"origins": ["https://docs.example.com", "https://*.example.org"], "ips": ["192.0.2.0/24"], "endpoints": ["widget"],
			"limits": {"requests": "600/1m", "visitor_requests": false, "streams": 50, "history_turns": "off"},
			"limit_message": "Bitte in {wait_short} erneut."}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			got, faults := parse([]byte(fill(file)), testOptions())
			if len(faults) > 0 || len(got) != 1 || got[0].Policy == nil {
				t.Fatalf("%v %+v", faults, got)
			}
			p := got[0].Policy
			if p.Kind != policy.Publishable || len(p.Origins) != 2 || p.Origins[0].String() != "https://docs.example.com" ||
				len(p.IPs) != 1 || len(p.Endpoints) != 1 || p.LimitMessage != "Bitte in {wait_short} erneut." {
				t.Errorf("%+v", p)
			}
			l := p.Limits
			if l.Requests.Rate() != (ratelimit.Rate{Count: 600, Per: time.Minute}) || l.VisitorRequests != policy.Off() ||
				l.Streams.Count() != 50 || l.HistoryTurns != policy.Off() || !l.VisitorStreams.IsZero() {
				t.Errorf("%+v", l)
			}
		})
	}
}

func TestPolicyFaults(t *testing.T) {
	for fields, want := range map[string]string{
		`kind: public`:                           `5: kind must be "publishable" or "secret"`,
		`kind: ""`:                               `5: kind must be`,
		`kind: publishable`:                      `5: a publishable key needs origins`,
		`origins: []`:                            `5: origins is empty`,
		`origins: https://docs.example.com`:      `5: origins must be a list`,
		`origins: ["https://docs.example.com/"]`: `5: origins: an origin must be a scheme and a host`,
		`ips: ["192.0.2.1/24"]`:                  `5: ips: an IP range must be`,
		`endpoints: [health]`:                    `2: endpoints must be of widget`,
		`limits: 5`:                              `5: limits must be a mapping`,
		`limits: {request: 5}`:                   `5: unrecognized field "request": did you mean "requests"?`,
		`limits: {requests: 600}`:                `5: requests must be a number of requests per time`,
		`limits: {streams: }`:                    `5: streams has no value`,
		`limits: {streams: [1]}`:                 `5: streams must be a number, a rate, or "off"`,
		`limit_message: ""`:                      `5: limit_message is empty`,
		`limit_message: [Wait]`:                  `5: limit_message must be`,
		`limit_message: "in {seconds}"`:          `5: limit_message has an unknown placeholder: must be {wait} or {wait_short}`,
		`limit_message: "two\nlines"`:            `5: limit_message must be a single line`,
		`limits: {streams: true}`:                `5: streams must be a number, or "off"`,
	} {
		file := "keys:\n  - id: k\n    sha256: $A\n    source: [src-1]\n    " + fields + "\n"
		_, faults := parse([]byte(fill(file)), testOptions())
		if len(faults) != 1 || !strings.Contains(faults.Error(), want) {
			t.Errorf("%s: %v, want %q", fields, faults, want)
		}
	}
}
