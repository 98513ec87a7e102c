package filefeed

import (
	"strings"
	"testing"
)

// goodKey is a file with one valid record, to which tests append others.
const goodKey = `keys:
  - id: good
    sha256: $A
    source: src-1
`

// Every fault is reported with its line, sorted by line, and says how to fix it.
func TestFaults(t *testing.T) {
	cases := map[string]struct{ file, want string }{
		// The file as a whole.
		"empty":                    {"", "1: " + emptyFile},
		"not UTF-8":                {"keys:\n- id: caf\xe9\n", "2: " + notUTF8},
		"UTF-16":                   {"\xff\xfek\x00e\x00", "1: " + notUTF8},
		"only comments":            {"# nothing\n\n", "1: " + emptyFile},
		"only a null":              {"~\n", "1: " + emptyFile},
		"document without content": {"---\n", "1: " + emptyFile},
		"a list":                   {"- id: k\n", "1: " + notMapping},
		"a text":                   {"dgk_pasted\n", "1: " + notMapping},
		"an alias":                 {"*x\n", "1: " + noAlias},
		"no keys":                  {"{}\n", "1: " + noKeys},
		"keys without value":       {"keys:\n", "1: " + nullKeys},
		"keys is a mapping":        {"keys:\n  docs: {}\n", "2: " + keysNoList},
		"keys is a text":           {"\nkeys: docs\n", "2: " + keysNoList},
		"misspelled keys":          {"key: []\n", `1: unrecognized field "key": did you mean "keys"?` + "\n1: " + noKeys},
		"unrecognized field":       {"keys: []\nversion: 1\n", "2: unrecognized field: the only field of the file is keys"},
		"duplicate keys":           {"keys: []\n\nkeys: []\n", "3: keys is already specified on line 1"},
		"two documents":            {"keys: []\n---\nkeys: []\n", "2: " + oneDocument},
		"broken second document": {
			"keys: []\n---\nkeys: [\n", "3: invalid YAML, here or shortly after: did not find expected node content",
		},
		"not YAML": {
			goodKey + "  - id: [\n", "5: invalid YAML, here or shortly after: did not find expected node content",
		},
		"tab in YAML": {
			"keys:\n\t- id: k\n",
			"2: invalid YAML, here or shortly after: found character that cannot start any token",
		},
		"unknown anchor":           {"keys:\n  - id: k\n    token: *s3cr3t\n", "3: " + noAlias},
		"not JSON":                 {"{\"keys\": [\n  {\"id\": \"k\",}\n]}", "2: " + notJSON},
		"JSON with a comment":      {"{\n// keys\n\"keys\": []}", "2: " + notJSON},
		"truncated JSON":           {"{\"keys\": [\n\n", "3: unexpected end of the JSON: a closing quote or bracket is missing"},
		"second JSON value":        {"{\"keys\": []}\n{}", "2: " + oneDocument},
		"trailing bracket in JSON": {"{\"keys\": []}\n}", "2: " + notJSON},

		// The record.
		"null as a key":  {"keys:\n  -\n", "2: " + notRecord},
		"text as a key":  {"keys:\n  - docs-site\n", "2: " + notRecord},
		"alias as a key": {goodKey + "  - &x {id: b, sha256: $B, source: src-1}\n  - *x\n", "6: " + noAlias},
		"merge": {"keys:\n  - &x\n    id: a\n    sha256: $A\n    source: src-1\n  - <<: *x\n    id: b\n    sha256: $B\n" +
			"    source: src-1\n", "6: " + noAlias},
		"tag":           {"keys:\n  - id: !mine a\n    sha256: $A\n    source: src-1\n", "2: " + noTag},
		"tag on a name": {"keys:\n  - !!str id: a\n    sha256: $A\n    source: src-1\n", "2: " + noTag + "\n2: " + noID},
		"tagged list":   {"keys: !!set [a]\n", "1: " + noTag},
		"empty record":  {"keys:\n  - {}\n", "2: " + noID + "\n2: " + noDigest + "\n2: " + noBinding},
		"misspelled fields": {
			"keys:\n  - ID: a\n    SHA-256: $A\n    sources: [src-1]\n    not-before: 2026-01-01\n    expire: 2027-01-01\n",
			`2: unrecognized field "ID": did you mean "id"?
2: ` + noID + `
2: ` + noDigest + `
2: ` + noBinding + `
3: unrecognized field "SHA-256": did you mean "sha256"?
4: unrecognized field "sources": did you mean "source"?
5: unrecognized field "not-before": did you mean "not_before"?
6: unrecognized field "expire": did you mean "expires"?`,
		},
		"unrecognized field of a key": {
			goodKey + "    s3cr3tCANARY: x\n",
			"5: unrecognized field: the fields of a key are id, name, sha256, token, source, agent, state, not_before, expires, kind, origins, ips, endpoints, visitors, sign_secret, sign_public_key, generation, limits, limit_message",
		},
		"number as a field name": {
			goodKey + "    5: x\n",
			"5: unrecognized field: the fields of a key are id, name, sha256, token, source, agent, state, not_before, expires, kind, origins, ips, endpoints, visitors, sign_secret, sign_public_key, generation, limits, limit_message",
		},
		"duplicate field": {goodKey + "    id: other\n", "5: id is already specified on line 2"},
		"duplicate field, JSON": {
			"{\"keys\": [{\"id\": \"k\", \"sha256\": \"$A\",\n\"sha256\": \"$B\", \"source\": \"src-1\"}]}",
			"2: sha256 is already specified on line 1",
		},

		// Its fields.
		"id with a space":      {"keys: [{id: docs site, sha256: $A, source: src-1}]", "1: " + badID},
		"id starts with a dot": {"keys: [{id: .docs, sha256: $A, source: src-1}]", "1: " + badID},
		"id too long":          {"keys: [{id: " + strings.Repeat("x", 129) + ", sha256: $A, source: src-1}]", "1: " + badID},
		"id is a number":       {"keys: [{id: 12, sha256: $A, source: src-1}]", "1: id must be text: put it in quotes"},
		"id is a number, JSON": {`{"keys": [{"id": 12, "sha256": "$A", "source": "src-1"}]}`, "1: id must be text: put it in quotes"},
		"id is a list":         {"keys: [{id: [a], sha256: $A, source: src-1}]", "1: id must be text"},
		"id without value":     {"keys: [{id: , sha256: $A, source: src-1}]", "1: id has no value: specify one"},
		"duplicate id": {
			goodKey + "  - id: good\n    sha256: $B\n    source: src-1\n",
			"5: id good is already used on line 2: give this key another id",
		},
		"name too long":         {"keys: [{id: a, name: " + strings.Repeat("é", 257) + ", sha256: $A, source: src-1}]", "1: " + badName},
		"name with newline":     {`keys: [{id: a, name: "a\nb", sha256: $A, source: src-1}]`, "1: " + badName},
		"name with separator":   {`keys: [{id: a, name: "a\u2028b", sha256: $A, source: src-1}]`, "1: " + badName},
		"name is a boolean":     {"keys: [{id: a, name: true, sha256: $A, source: src-1}]", "1: name must be text: put it in quotes"},
		"sha256 is a token":     {"keys: [{id: a, sha256: dgk_s3cr3t, source: src-1}]", "1: " + badDigest},
		"sha256 of zeros":       {`keys: [{id: a, sha256: "` + strings.Repeat("0", 64) + `", source: src-1}]`, "1: " + badDigest},
		"sha256 with a prefix":  {"keys: [{id: a, sha256: \"sha256:$A\", source: src-1}]", "1: " + badDigest},
		"no token":              {"keys:\n  - id: a\n    source: src-1\n", "2: " + noDigest},
		"both sha256 and token": {goodKey + "    token: \"{env.TOKEN_B}\"\n", "5: " + twoDigests},
		"duplicate digest": {
			goodKey + "  - id: b\n    source: src-1\n    sha256: $A\n",
			"7: same token as key good on line 3: each key must have its own token",
		},
		"duplicate digest in upper case": {
			goodKey + "  - id: b\n    source: src-1\n    sha256: " + strings.ToUpper(sumA) + "\n",
			"7: same token as key good on line 3: each key must have its own token",
		},
		"token of another key's digest": {
			goodKey + "  - id: b\n    source: src-1\n    token: \"{env.TOKEN_A}\"\n",
			"7: same token as key good on line 3: each key must have its own token",
		},
		"same token as a key without id": {
			"keys:\n  - sha256: $A\n    source: src-1\n  - id: b\n    sha256: $A\n    source: src-1\n",
			"2: " + noID + "\n5: same token as the key on line 2: each key must have its own token",
		},
		"token in plaintext":         {"keys: [{id: a, token: dgk_s3cr3t, source: src-1}]", "1: " + clearToken},
		"token in plaintext, digits": {"keys: [{id: a, token: 123456789, source: src-1}]", "1: " + clearToken},
		"token in plaintext, a date": {"keys: [{id: a, token: 2026-01-01, source: src-1}]", "1: " + clearToken},
		"agent in plaintext":         {"keys: [{id: a, sha256: $A, agent: 7d0c0f36-6a0e}]", "1: " + clearAgent},
		"placeholder and more":       {`keys: [{id: a, sha256: $A, agent: "x{env.AGENT}"}]`, "1: " + clearAgent},
		"two placeholders":           {`keys: [{id: a, sha256: $A, agent: "{env.AGENT}{env.AGENT}"}]`, "1: " + clearAgent},
		"other placeholder":          {`keys: [{id: a, sha256: $A, agent: "{http.request.host}"}]`, "1: " + clearAgent},
		"env in Caddyfile syntax":    {`keys: [{id: a, sha256: $A, agent: "{$AGENT}"}]`, "1: " + clearAgent},
		"placeholder without quotes": {
			"keys:\n  - id: a\n    token: {env.TOKEN_A}\n    agent: {file./run/agent}\n",
			"3: write it in quotes: \"{env.TOKEN_A}\"\n4: write it in quotes: \"{file./run/agent}\"",
		},
		"other mapping as agent": {
			"keys: [{id: a, sha256: $A, agent: {env: AGENT}}]",
			`1: agent must be a placeholder in quotes, such as "{env.NAME}"`,
		},
		"list as token": {"keys: [{id: a, token: [x], source: src-1}]", "1: token must be text"},
		"empty token":   {`keys: [{id: a, token: "", source: src-1}]`, "1: token has no value: specify one"},
		"null as agent": {`{"keys": [{"id": "a", "sha256": "$A", "agent": null}]}`, "1: agent has no value: specify one"},
		"unset variable": {
			`keys: [{id: a, sha256: $A, agent: "{env.NOT_SET}"}]`,
			"1: {env.NOT_SET} has no value: set the variable where the gate is started",
		},
		"empty variable": {
			`keys: [{id: a, token: "{env.EMPTY}", source: src-1}]`,
			"1: {env.EMPTY} has no value: set the variable where the gate is started",
		},
		"missing file": {
			`keys: [{id: a, sha256: $A, agent: "{file./none}"}]`,
			"1: {file./none} has no value: the file must exist, be readable and not be empty",
		},
		"value that is not a token": {
			`keys: [{id: a, token: "{env.BLANKS}", source: src-1}]`,
			"1: the value of {env.BLANKS} is not a valid token: a token has 1 to 512 printable ASCII characters and no spaces",
		},
		"mistyped token":                 {`keys: [{id: a, token: "{env.MISTYPED}", source: src-1}]`, "1: " + badChecksum},
		"no binding":                     {"keys:\n  - id: a\n    sha256: $A\n", "2: " + noBinding},
		"both bindings":                  {goodKey + "    agent: \"{env.AGENT}\"\n", "5: " + twoBindings},
		"both bindings, the source last": {"keys:\n- id: a\n  agent: \"{env.AGENT}\"\n  sha256: $A\n  source: src-1\n", "5: " + twoBindings},
		"no sources":                     {"keys: [{id: a, sha256: $A, source: []}]", "1: " + noSources},
		"source is empty":                {`keys: [{id: a, sha256: $A, source: ""}]`, "1: " + badSource},
		"source is null":                 {"keys: [{id: a, sha256: $A, source: }]", "1: a source id has no value: specify one"},
		"source is a number":             {"keys: [{id: a, sha256: $A, source: [17]}]", "1: a source id must be text: put it in quotes"},
		"bad source": {
			"keys:\n- id: a\n  sha256: $A\n  source:\n  - src-1\n  - default\n",
			`6: source id: a source id starts with "src-"`,
		},
		"duplicate source": {
			"keys:\n- id: a\n  sha256: $A\n  source:\n  - src-1\n  - SRC-1\n",
			"6: the source id is already specified on line 5: remove this one",
		},
		"too many sources": {"keys:\n- id: a\n  sha256: $A\n  source: [src-1, src-2, src-3, src-4]\n", "4: source: at most 3 sources"},
		"unknown state":    {goodKey + "    state: revoked\n", "5: " + badState},
		"boolean state":    {goodKey + "    state: off\n", "5: " + badState},
		"bad times": {
			goodKey + "    not_before: tomorrow\n    expires: 2026\n",
			"5: not_before must be a time such as 2026-01-01T00:00:00Z, or a date\n" +
				"6: expires must be a time such as 2026-01-01T00:00:00Z, or a date",
		},
		"zero time": {
			goodKey + "    expires: 0001-01-01T00:00:00Z\n",
			"5: expires must be a time such as 2026-01-01T00:00:00Z, or a date",
		},
		"expires too early": {
			goodKey + "    expires: 2026-01-01\n    not_before: 2026-01-01\n",
			"5: expires must be after not_before (line 6)",
		},

		"several faults, JSON": {`{
	"keys": [
		{"id": "a", "sha256": "$A", "source": "src-1"},
		{"id": "a", "sha256": "dgk_s3cr3t"},
		{
			"id": "c",
			"sha256": "$A",
			"agent": "s3cr3t",
			"state": "on"
		}
	]
}`, "4: " + noBinding + "\n4: id a is already used on line 3: give this key another id\n4: " + badDigest +
			"\n7: same token as key a on line 3: each key must have its own token\n8: " + clearAgent + "\n9: " + badState},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, faults := parse([]byte(fill(tc.file)), testOptions())
			got := strings.ReplaceAll("\n"+faults.Error(), "\n:", "\n")
			want := "\n" + tc.want
			if got != want {
				t.Errorf("faults:%s\nwant:%s", got, want)
			}
		})
	}
}
