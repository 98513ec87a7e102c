package main

import (
	"net/http/httptest"
	"strings"
	"testing"
)

// Without a proxy all responses must pass the checks for plain Caddy and fail those for the gate.
func TestChecksDetectMissingGate(t *testing.T) {
	for i := range scenarios {
		k := &scenarios[i]
		t.Run(k.Name, func(t *testing.T) {
			s := newStub()
			server := httptest.NewServer(s)
			defer server.Close()
			const requests = 2 * sampled
			send := func(p proxyMode) outcome {
				l := &load{
					plan:     workload{Address: server.Listener.Addr().String(), Proxy: p, Requests: requests, Connections: 2},
					scenario: k,
					expect:   k.expect(p),
				}
				defer l.close()
				l.run(t.Context())
				return l.outcome
			}

			if got := send(plain); got.Invalid > 0 || got.Valid != requests {
				t.Errorf("as plain Caddy: %+v, want %d valid responses", got, requests)
			}
			if err := checkCounts(plain, k, s.counts(), requests); err != nil {
				t.Error(err)
			}
			before := s.counts()
			got := send(builtin)
			if k.Path == "/stream" && got.Valid > 0 {
				t.Errorf("as the gate: %d responses of the upstream were accepted", got.Valid)
			}
			if err := checkCounts(builtin, k, s.counts().minus(before), requests); err == nil {
				t.Error("as the gate: the check accepted the client's token at the upstream")
			}
		})
	}
}

func TestStubCounts(t *testing.T) {
	k := &scenarios[2]
	for name, tc := range map[string]struct {
		old, replacement string // in the body, replaced once
		want             counts
	}{
		"unmodified":              {want: counts{Requests: 1, Token: 1}},
		"the agent key":           {goodToken, agentKey, counts{Requests: 1, Agent: 1}},
		"key and token":           {`"default"`, `"` + agentKey + `"`, counts{Requests: 1, Token: 1}},
		"no key":                  {goodToken, "", counts{Requests: 1, Other: 1}},
		"an unknown token":        {goodToken, unknownToken(7), counts{Requests: 1, Unknown: 1}},
		"another history":         {"settings", "Settings", counts{Requests: 1, Token: 1, Modified: 1}},
		"another question":        {`it?","history`, `them?","history`, counts{Requests: 1, Token: 1, Modified: 1}},
		"a body that is not JSON": {`"}`, "", counts{Requests: 1, Token: 1, Modified: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStub()
			body := strings.Replace(string(k.body(goodToken)), tc.old, tc.replacement, 1)
			s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", k.Path, strings.NewReader(body)))
			if got := s.counts(); got != tc.want {
				t.Errorf("counts %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestSummarize(t *testing.T) {
	for name, tc := range map[string]struct {
		numbers []float64
		want    summary
	}{
		"one":           {[]float64{2}, summary{2, 2, 2}},
		"an odd number": {[]float64{3, 1, 2}, summary{2, 1, 3}},
		"an even one":   {[]float64{4, 1, 2, 3}, summary{2.5, 1, 4}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := summarize(tc.numbers); got != tc.want {
				t.Errorf("spread %v, want %v", got, tc.want)
			}
		})
	}
}
