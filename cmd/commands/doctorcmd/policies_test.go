package doctorcmd

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/keys"
)

// Findings about the policies of keys and the limits of sites.
func TestPolicyFaults(t *testing.T) {
	limits := func(block string) func(*env) {
		return func(e *env) { e.gate = "docsgate {$DOCSGPT} {\nendpoints widget openai\n" + block + "\n}" }
	}
	runCases(t, []faultCase{
		{"keys without a kind", func(*env) {}, []string{noKinds}},
		{"another limit of the site", limits("limits {\nvisitor_requests 100/1m\n}"), nil},
		{"no limits", limits("limits off"), []string{"warning gate.visitor_limits"}},
		{"no limit of visitors", limits("limits {\nvisitor_requests off\n}"), []string{"warning gate.visitor_limits"}},
		{"dry run", limits("limits {\ndry_run visitor_requests\n}"), []string{"note gate.visitor_limits"}},
		{"too many unknown tokens", limits("limits {\nfailed_tokens 1/1h\n}"), []string{"unknown gate.answers", "unknown page.key"}},
		{"dry run of another limit", limits("limits {\ndry_run visitor_streams\n}"), nil},
	})
}

// keyFile writes a key file with a key for the doctor and n others, all with these policies.
func (e *env) keyFile(n int, policy, others string) {
	var b strings.Builder
	fmt.Fprintf(&b, "keys:\n  - {id: docs, sha256: %s, agent: \"{env.DOCTOR_AGENT}\", %s}\n", keys.DigestOf(gateToken).Hex(), policy)
	for i := range n {
		fmt.Fprintf(&b, "  - {id: other-%d, sha256: %s, agent: \"{env.DOCTOR_BOTH}\", %s}\n", i, keys.DigestOf(fmt.Sprint("other", i)).Hex(), others)
	}
	e.writeFile("keys.yaml", b.String())
}

// The finding counts keys, however many there are, and the running gate and a configuration that is only loaded agree.
func TestKindsAreCounted(t *testing.T) {
	for name, running := range map[string]bool{"running": true, "not running": false} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			e.keyFile(3000, `kind: publishable, origins: ["*"]`, "name: Without a kind")
			if !running {
				e.noServer()
			}
			e.start()
			findings, _ := e.examine()
			var texts []string
			for _, f := range findings {
				if f.ID == "feeds.kinds" {
					texts = append(texts, f.Summary)
				}
			}
			want := []string{
				"3000 active keys without a kind, usable both in pages and on servers.",
				`1 publishable key with the origin "*", usable on every page.`,
			}
			if !slices.Equal(texts, want) {
				t.Errorf("%q", texts)
			}
		})
	}
}

// A key that is restricted to pages cannot be checked without one of them, and keys with a kind have no finding.
func TestRestrictedKey(t *testing.T) {
	for name, c := range map[string]struct {
		page string
		want []string
	}{
		"no page":        {"", []string{"unknown key.valid"}},
		"a page":         {"https://docs.example.com/start", nil},
		"another page":   {"https://other.example.com/", []string{"failure key.valid"}},
		"page in a port": {"https://docs.example.com:8443/", []string{"failure key.valid"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			e.keyFile(1, `kind: publishable, origins: ["https://docs.example.com"]`, "kind: secret")
			e.page, e.doctor.Page = "", c.page
			e.start()
			findings, _ := e.examine()
			var got []string
			for _, f := range notOK(findings) {
				if strings.HasSuffix(f, " key.valid") || strings.HasSuffix(f, " feeds.kinds") {
					got = append(got, f)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%q", notOK(findings))
			}
		})
	}
}
