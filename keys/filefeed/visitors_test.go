package filefeed

import (
	"strings"
	"testing"

	"github.com/docsgate/docsgate/policy"
)

const publicKey = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="

func init() {
	resolved["{env.SIGN_1}"] = "a-secret-for-signing-with-enough-bytes-1"
	resolved["{env.SIGN_2}"] = "a-secret-for-signing-with-enough-bytes-2"
	resolved["{env.SHORT}"] = "too-short"
	resolved["{env.DIGEST_A}"] = sumA
	resolved["{env.LONG_TOKEN}"] = "a-token-with-more-than-thirty-two-bytes"
}

func TestParseVisitors(t *testing.T) {
	for fields, want := range map[string]struct {
		visitors            policy.Visitors
		secrets, publicKeys int
		generation          uint32
	}{
		`visitors: required, sign_secret: "{env.SIGN_1}"`:                                       {policy.VisitorsRequired, 1, 0, 0},
		`visitors: optional, sign_secret: ["{env.SIGN_1}", "{env.SIGN_2}"], generation: 3`:      {policy.VisitorsOptional, 2, 0, 3},
		`visitors: required, sign_public_key: ` + publicKey:                                     {policy.VisitorsRequired, 0, 1, 0},
		`visitors: required, sign_public_key: [` + publicKey + `], sign_secret: "{env.SIGN_1}"`: {policy.VisitorsRequired, 1, 1, 0},
		`visitors: off, sign_secret: "{env.SIGN_1}"`:                                            {policy.VisitorsOff, 1, 0, 0},
		`visitors: "off"`: {policy.VisitorsOff, 0, 0, 0},
		`generation: 0`:   {policy.VisitorsOff, 0, 0, 0},
	} {
		file := "keys:\n  - {id: k, sha256: $A, source: [src-1], " + fields + "}\n"
		got, faults := parse([]byte(fill(file)), testOptions())
		if len(faults) > 0 {
			t.Errorf("%s: %v", fields, faults)
			continue
		}
		k := got[0]
		if (k.Policy == nil) != (want.visitors == policy.VisitorsOff) || k.Policy != nil && k.Policy.Visitors != want.visitors {
			t.Errorf("%s: %+v", fields, k.Policy)
		}
		if (k.VisitorTokens == nil) != (want.secrets+want.publicKeys == 0) {
			t.Errorf("%s: %v", fields, k.VisitorTokens)
		} else if s := k.VisitorTokens; s != nil && (len(s.Secrets) != want.secrets || len(s.PublicKeys) != want.publicKeys || s.Generation != want.generation) {
			t.Errorf("%s: %+v", fields, s)
		}
	}
}

func TestVisitorFaults(t *testing.T) {
	for fields, want := range map[string]string{
		`visitors: 1`:                 `visitors must be text`,
		`visitors: always`:            `visitors must be "off", "optional" or "required"`,
		`visitors: required`:          `sign_secret or sign_public_key is required with visitors`,
		`sign_secret: "{env.SIGN_1}"`: `visitors is missing`,
		`visitors: required, sign_secret: a-secret-for-signing-with-enough-bytes`:       `must not be in plaintext`,
		`visitors: required, sign_secret: "{env.SHORT}"`:                                `at least 32 bytes`,
		`visitors: required, sign_secret: "{env.UNSET}"`:                                `has no value`,
		`visitors: required, sign_secret: "{env.DIGEST_A}"`:                             `neither the token of the key nor its digest`,
		`visitors: required, sign_secret: []`:                                           `must have 1 to 4 entries`,
		`visitors: required, sign_public_key: none`:                                     `must be an Ed25519 public key`,
		`visitors: required, sign_secret: "{env.SIGN_1}", generation: -1`:               `generation must be a number`,
		`visitors: required, sign_secret: "{env.SIGN_1}", generation: "1"`:              `generation must be a number`,
		`visitors: required, sign_secret: "{env.SIGN_1}", generation: 4294967296`:       `generation must be a number`,
		`visitors: required, sign_secrets: "{env.SIGN_1}", sign_secret: "{env.SIGN_1}"`: `did you mean "sign_secret"?`,
	} {
		file := "keys:\n  - {id: k, sha256: $A, source: [src-1], " + fields + "}\n"
		_, faults := parse([]byte(fill(file)), testOptions())
		if len(faults) != 1 || !strings.Contains(faults.Error(), want) {
			t.Errorf("%s: %v, want %q", fields, faults, want)
		}
		if strings.Contains(faults.Error(), "a-secret-for-signing") || strings.Contains(faults.Error(), sumA) {
			t.Errorf("%s: a fault contains the secret: %v", fields, faults)
		}
	}
	file := "keys:\n  - {id: k, token: \"{env.LONG_TOKEN}\", source: [src-1], visitors: required, sign_secret: \"{env.LONG_TOKEN}\"}\n"
	if _, faults := parse([]byte(file), testOptions()); len(faults) != 1 || !strings.Contains(faults.Error(), "neither the token") {
		t.Errorf("the token as secret: %v", faults)
	}
}
