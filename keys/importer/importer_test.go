package importer_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/importer"
)

const (
	keyA    = "5f0c2b7e-1d34-4a6b-8c9d-0123456789ab"
	keyB    = "6a1d3c8f-2e45-4b7c-9dae-123456789abc"
	sourceA = "0e8f9a4c-6f0b-4d2e-9f51-3a7f1f6f8f01"
	sourceB = "1f90ab5d-701c-4e3f-8062-4b802070901b"
	oidA    = "66d0f1a2b3c4d5e6f7a8b9c0"
	oidB    = "66d0f1a2b3c4d5e6f7a8b9c1"
)

// fill replaces placeholders with the constants.
func fill(s string) string {
	return strings.NewReplacer("KEYA", keyA, "KEYB", keyB, "SRCA", sourceA, "SRCB", sourceB, "OIDA", oidA, "OIDB", oidB,
		"DIGEST", keys.DigestOf(keyA).Hex()).Replace(s)
}

// show formats a result without its keys, one line per item.
func show(r *importer.Result) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", r.Format)
	for _, it := range r.Items {
		k := it.Key
		fmt.Fprintf(&b, "%s: id=%s name=%s", it.Location, k.ID, k.Name)
		if len(k.Sources) > 0 {
			fmt.Fprintf(&b, " sources=%s", strings.Join(k.Sources, ","))
		}
		if k.Agent != "" {
			fmt.Fprintf(&b, " agent=%s", k.Agent)
		}
		if k.AgentKey != "" {
			fmt.Fprintf(&b, " agent_key=%t", k.Digest == keys.DigestOf(k.AgentKey))
		}
		switch k.Digest {
		case keys.Digest{}:
		case keys.DigestOf(keyA):
			b.WriteString(" token=A")
		case keys.DigestOf(keyB):
			b.WriteString(" token=B")
		default:
			b.WriteString(" token=?")
		}
		if k.Prompt+k.Chunks+k.Retriever != "" {
			fmt.Fprintf(&b, " note=%s/%s/%s", k.Prompt, k.Chunks, k.Retriever)
		}
		if k.State != keys.Active {
			fmt.Fprintf(&b, " %s", k.State)
		}
		for _, t := range []struct {
			name string
			time.Time
		}{{"created", k.Created}, {"expires", k.Expires}} {
			if !t.IsZero() {
				fmt.Fprintf(&b, " %s=%s", t.name, t.Format(time.RFC3339))
			}
		}
		if len(it.Notes) > 0 {
			fmt.Fprintf(&b, " notes=%d", len(it.Notes))
		}
		b.WriteString("\n")
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(&b, "%s: skipped %s: %s\n", s.Place, s.Name, s.Reason)
	}
	return b.String()
}

func TestParse(t *testing.T) {
	cases := []struct {
		name    string
		options importer.Options
		in      string
		want    string
	}{
		{"key file in YAML", importer.Options{Resolve: func(string) (string, error) { return keyB, nil }}, `
keys:
  - id: docs-site
    name: Docs
    sha256: DIGEST
    source: [SRCA, SRCB]
    expires: 2027-01-01
  - id: agent
    token: "{env.TOKEN}"
    agent: "{env.AGENT}"
    state: disabled
`, `key-file
line 3: id=docs-site name=Docs sources=SRCA,SRCB token=A expires=2027-01-01T00:00:00Z
line 8: id=agent name=agent agent={env.AGENT} token=B disabled
`},
		{"export", importer.Options{}, `{"keys":[
{"id":"docs-site","name":"Docs","sha256":"DIGEST","source":["SRCA"],"state":"active"}],"skipped":["key_x"]}`, `key-file
line 2: id=docs-site name=Docs sources=SRCA token=A
`},
		{"get_api_keys of 0.8 to 0.10, where sources are paths", importer.Options{}, `[
{"id":"OIDA","name":"Docs","key":"5f0c...89ab","source":"local/docs/","prompt_id":"default","chunks":"2"},
{"id":"OIDB","name":"None","key":"6a1d...9abc","source":"","prompt_id":"default","chunks":"2"}]`, `api-keys
item 1: id=OIDA name=Docs sources=local/docs/ note=default/2/ created=2024-08-29T22:09:38Z
item 2: skipped None: it has no source
`},
		{"get_api_keys of 0.11 to 0.13, where sources are names", importer.Options{Sources: []importer.Source{
			{sourceA, "Docs"}, {sourceB, "Twice"}, {"x", "Twice"},
		}}, `[{"id":"OIDA","name":"a","key":"5f0c...89ab","source":"Docs","prompt_id":"default","chunks":2,"retriever":"classic"},
{"id":"OIDB","name":"b","key":"6a1d...9abc","source":"Twice","chunks":2},
{"id":"OIDB","name":"c","key":"6a1d...9abc","source":"classic","chunks":2}]`, `api-keys
item 1: id=OIDA name=a sources=SRCA note=default/2/classic created=2024-08-29T22:09:38Z
item 2: skipped b: 2 sources of DocsGPT have the name "Twice": create a key for the right one manually
item 3: skipped c: 0 sources of DocsGPT have the name "classic": create a key for the right one manually
`},
		{"api_keys of 0.8, one per line", importer.Options{}, `{"_id":{"$oid":"OIDA"},"name":"Docs","key":"KEYA","source":"default","user":"local","prompt_id":"default","chunks":"2"}

{"_id":{"$oid":"OIDB"},"name":"B","key":"KEYB","source":"local/b/","user":"local","prompt_id":{"$oid":"OIDA"},"chunks":{"$numberInt":"4"}}
`, `mongo-api-keys
line 1: id=OIDA name=Docs sources=default token=A note=default/2/ created=2024-08-29T22:09:38Z
line 3: id=OIDB name=B sources=local/b/ token=B note=OIDA/4/ created=2024-08-29T22:09:38Z
`},
		{"api_keys of 0.13, as a list", importer.Options{}, `[{"_id":{"$oid":"OIDA"},"name":"Docs","key":"KEYA","user":"local","prompt_id":"default",
"chunks":2,"source":{"$ref":"sources","$id":{"$oid":"OIDB"}},"retriever":"classic"},
{"_id":{"$oid":"OIDB"},"name":"No source","key":"KEYB","user":"local"}]`, `mongo-api-keys
item 1: id=OIDA name=Docs sources=OIDB token=A note=default/2/classic created=2024-08-29T22:09:38Z
item 2: skipped No source: it has no source: bind it to the agent instead
`},
		{"agents of 0.14 to 0.16", importer.Options{}, `{"_id":{"$oid":"OIDA"},"name":"A","key":"KEYA","status":"published","agent_type":"classic","source":{"$ref":"sources","$id":{"$oid":"OIDB"},"$db":"docsgpt"},"sources":[],"createdAt":{"$date":"2025-02-03T04:05:06.789Z"},"limited_token_mode":"True"}
{"_id":{"$oid":"OIDB"},"name":"B","key":"KEYB","status":"draft","agent_type":"classic","source":"","sources":["default",{"$ref":"sources","$id":{"$oid":"OIDA"}}],"createdAt":{"$date":{"$numberLong":"1738555506789"}}}
{"_id":{"$oid":"OIDB"},"name":"C","key":"","status":"draft","agent_type":"classic","source":""}
`, `mongo-agents
line 1: id=OIDA name=A sources=OIDB token=A created=2025-02-03T04:05:06Z notes=1
line 2: id=OIDB name=B sources=default,OIDA token=B created=2025-02-03T04:05:06Z
line 3: skipped C: it has no key: it was never published
`},
		{"agents bound to themselves", importer.Options{Agents: true}, `{"_id":{"$oid":"OIDA"},"name":"A","key":"KEYA","status":"published","agent_type":"classic","source":"","limited_token_mode":true}
`, `mongo-agents
line 1: id=OIDA name=A agent_key=true token=A created=2024-08-29T22:09:38Z
`},
		{"agents of 0.17 and later, row_to_json", importer.Options{}, `{"id":"SRCB","user_id":"local","name":"A","key":"KEYA","source_id":"SRCA","extra_source_ids":["SRCB","SRCA"],"chunks":2,"config":{"restrict_origins":true},"created_at":"2026-01-02T03:04:05.678901+02:00"}
{"id":"SRCA","user_id":"local","name":"draft","key":null,"source_id":null,"extra_source_ids":[]}
`, `postgres-agents
line 1: id=SRCB name=A sources=SRCA,SRCB token=A note=/2/ created=2026-01-02T01:04:05Z notes=1
line 2: skipped draft: it has no key: it was never published
`},
		{"agents of 0.17 and later, CSV", importer.Options{}, `id,user_id,name,key,source_id,extra_source_ids,limited_token_mode,config,created_at
SRCB,local,"A ""quoted""
name",KEYA,SRCA,"{SRCB,SRCA}",t,"{""restrict_origins"": true}",2026-01-02 03:04:05.678901+00
SRCA,local,B,KEYB,,{},f,{},2026-01-02 03:04:05+02
SRCA,local,C,,SRCA,{},f,{},
`, `postgres-agents
line 2: id=SRCB name=A "quoted" name sources=SRCA,SRCB token=A created=2026-01-02T03:04:05Z notes=3
line 4: skipped B: it has no source: bind it to the agent instead
line 5: skipped C: it has no key: it was never published
`},
		{"keys that cannot be tokens", importer.Options{}, `[{"_id":{"$oid":"OIDA"},"name":"a","key":"a b","source":"default"},
{"_id":{"$oid":"OIDA"},"name":"b","key":"5f0c...89ab","source":"default"},
{"_id":{"$oid":"OIDA"},"name":"c","key":"dgk_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","source":"default"}]`, `mongo-api-keys
item 1: skipped a: its key is not a valid token: a token has 1 to 512 printable ASCII characters and no spaces
item 2: skipped b: its key is masked: read the database itself
item 3: skipped c: its key has the format of the gate's own tokens but a wrong checksum
`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			want := fill(c.want)
			result, err := importer.Parse(strings.NewReader("\xef\xbb\xbf"+fill(c.in)), "", c.options)
			if err != nil {
				t.Fatal(err)
			}
			if got := show(result); got != want {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
			named, err := importer.Parse(strings.NewReader(fill(c.in)), result.Format, c.options)
			if err != nil || show(named) != want {
				t.Errorf("with an explicit format: %v", err)
			}
		})
	}
}

func TestFaultsContainPlaceButNoKey(t *testing.T) {
	cases := []struct {
		name   string
		format importer.Format
		option importer.Options
		in     string
		want   []string // substrings of the error
	}{
		{"empty input", "", importer.Options{}, " \n", []string{"the input is empty"}},
		{"UTF-16", "", importer.Options{}, "\xff\xfe{\x00", []string{"not UTF-8"}},
		{"an empty list", "", importer.Options{}, "[]", []string{"the input contains no keys"}},
		{"no known fields", "", importer.Options{}, `[{"KEYA":"KEYA"}]`, []string{"specify it", "mongo-agents"}},
		{"unknown format", "x", importer.Options{}, `[]`, []string{"the formats are key-file, api-keys"}},
		{"truncated", "", importer.Options{}, "[{\"_id\":\"OIDA\",\n\"key\":\"KEYA", []string{"line 2: unexpected end of the JSON"}},
		{"truncated between items", "", importer.Options{}, "[{\"_id\":\"OIDA\",\n\"key\":\"KEYA\"}", []string{"unexpected end of the JSON"}},
		{"no comma", "", importer.Options{}, "[{\"_id\":\"OIDA\"\n\"key\":\"KEYA\"}]", []string{"line 2: invalid JSON"}},
		{"a list of texts", "", importer.Options{}, `["KEYA"]`, []string{"item 1: not a JSON object"}},
		{"null", "", importer.Options{}, `[null]`, []string{"item 1: null"}},
		{"text after the list", "", importer.Options{}, "[{}]\nKEYA", []string{"line 2: unexpected text"}},
		{"psql table output", importer.PostgresAgents, importer.Options{}, " row_to_json \n---\n {\"key\":\"KEYA\"}", []string{"line 1", "-At"}},
		{"CSV of another width", "", importer.Options{}, "id,key\n1,KEYA,KEYB\n", []string{"line 2: the number of columns differs"}},
		{"CSV with a stray quote", "", importer.Options{}, "id,key\n1,KE\"YA\n", []string{"line 2: invalid CSV"}},
		{"CSV with a duplicate column", "", importer.Options{}, "key,key\n1,KEYA\n", []string{"column 2"}},
		{"rows without the key", importer.PostgresAgents, importer.Options{}, `[{"id":"1"},{"id":"2"}]`, []string{"item 1: the column key is missing", "item 2: "}},
		{"a key that is a number", importer.PostgresAgents, importer.Options{}, `[{"key":17,"source_id":"SRCA"}]`, []string{"item 1: key is not text"}},
		{"an invalid source", importer.MongoKeys, importer.Options{}, `[{"_id":"OIDA","key":"KEYA","source":{"KEYA":1}}]`, []string{"item 1: a source is neither"}},
		{"agents of masked keys", importer.APIKeys, importer.Options{Agents: true}, `[{"id":"1","key":"a...b","source":"x"}]`, []string{"item 1: ", "ends of keys"}},
		{"agents of a key file", importer.KeyFile, importer.Options{Agents: true}, `keys: []`, []string{"in the key file itself"}},
		{"a key file with a plaintext token", "", importer.Options{}, "keys:\n- id: a\n  token: KEYA\n  source: SRCA\n", []string{"3:", "in plaintext"}},
		{"a truncated JSON key file", "", importer.Options{}, `{"keys": [{"token":"KEYA"`, []string{"unexpected end"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			result, err := importer.Parse(strings.NewReader(fill(c.in)), c.format, c.option)
			if err == nil || result != nil {
				t.Fatalf("no error, or both a result and an error: %v, %v", result, err)
			}
			for _, piece := range c.want {
				if !strings.Contains(err.Error(), piece) {
					t.Errorf("%q is not in: %v", piece, err)
				}
			}
			for _, secret := range []string{keyA, keyB, keyA[:12]} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error contains a key: %v", err)
				}
			}
		})
	}
}

type infiniteReader struct{}

func (infiniteReader) Read(p []byte) (int, error) { return copy(p, spaces), nil }

var spaces = strings.Repeat(" ", 1<<16)

func TestParseReadErrors(t *testing.T) {
	errRead := errors.New("read error")
	if _, err := importer.Parse(iotest.ErrReader(errRead), "", importer.Options{}); !errors.Is(err, errRead) {
		t.Errorf("a failing reader: %v", err)
	}
	if _, err := importer.Parse(infiniteReader{}, "", importer.Options{}); err == nil || !strings.Contains(err.Error(), "64 MiB") {
		t.Errorf("an infinite reader: %v", err)
	}
}

func TestFormatsAreStable(t *testing.T) {
	want := []importer.Format{"key-file", "api-keys", "mongo-api-keys", "mongo-agents", "postgres-agents"}
	if got := importer.Formats(); !slices.Equal(got, want) {
		t.Errorf("formats %v", got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"keys: []", `{"keys":[]}`, `[{"_id":{"$oid":"OIDA"},"key":"KEYA","source":{"$ref":"sources","$id":{"$oid":"OIDB"}}}]`,
		"id,key,source_id,extra_source_ids\n1,KEYA,SRCA,\"{SRCB}\"\n", `{"id":"1","key":"KEYA","source_id":"SRCA","extra_source_ids":[]}`,
		`[{"id":"1","name":"n","key":"5f0c...89ab","source":"x"}]`,
	} {
		f.Add(fill(s), "", false)
		f.Add(fill(s), "postgres-agents", true)
	}
	f.Fuzz(func(t *testing.T, in, format string, agents bool) {
		result, err := importer.Parse(strings.NewReader(in), importer.Format(format), importer.Options{
			Agents: agents, Resolve: func(string) (string, error) { return keyB, nil },
		})
		if err != nil {
			if result != nil || strings.Contains(err.Error(), keyA) {
				t.Errorf("a result with an error, or a key in the error: %v", err)
			}
			return
		}
		for _, it := range result.Items {
			k := it.Key
			bindings := 0
			for _, isSet := range []bool{len(k.Sources) > 0, k.Agent != "", k.AgentKey != ""} {
				if isSet {
					bindings++
				}
			}
			if bindings != 1 || it.Location == "" || slices.Contains(k.Sources, "") {
				t.Errorf("%s: %d bindings", it.Location, bindings)
			}
			if k.Digest.IsZero() != (result.Format == importer.APIKeys) {
				t.Errorf("%s: unexpected or missing token", it.Location)
			}
		}
		for _, s := range result.Skipped {
			if s.Place == "" || s.Reason == "" || strings.Contains(s.Reason, keyA) {
				t.Errorf("skipped at %q: %q", s.Place, s.Reason)
			}
		}
	})
}
