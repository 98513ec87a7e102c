package filefeed

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/internal/alloctest"
	"github.com/docsgate/docsgate/keys"
)

// manyKeysJSON is manyKeys in JSON.
func manyKeysJSON(n int) []byte {
	var b strings.Builder
	b.WriteString(`{"keys": [`)
	for i := range n {
		fmt.Fprintf(&b, "\n{\"id\": \"customer-%d\", \"name\": \"Customer \\u00e9 %d\", \"sha256\": \"%s\", \"source\": [\"src-%d\"]},",
			i, i, keys.DigestOf(fmt.Sprint("token-", i)).Hex(), i%100)
	}
	return []byte(strings.TrimSuffix(b.String(), ",") + "\n]}\n")
}

// compareStream decodes a file while it is read, and as a whole. The first may give up, but must not have other keys. It reports whether it
// has not given up.
func compareStream(t *testing.T, data []byte) bool {
	t.Helper()
	batch, sum, err := streamFrom(bytes.NewReader(data), testOptions())
	if err != nil {
		return false
	}
	want, faults := parse(data, testOptions())
	if len(faults) > 0 {
		t.Fatalf("decoded while reading, although there are faults:\n%s\n%v", data, faults)
	}
	if batch.Len() != len(want) || sum != stateOf(data, nil).sum {
		t.Fatalf("%d keys or another checksum, want %d keys:\n%s", batch.Len(), len(want), data)
	}
	store := keys.NewStore()
	if _, err := store.ReplaceBatch("f", batch); err != nil {
		t.Fatal(err)
	}
	if change, err := store.Replace("f", want); err != nil || !change.IsZero() {
		t.Fatalf("the keys differ: %+v, %v\n%s", change, err, data)
	}
	return true
}

// unusualFiles are decoded as a whole.
var unusualFiles = map[string]string{
	"empty":                  "",
	"white space before":     "\n {\"keys\": []}",
	"another field":          `{"keys": [], "skipped": []}`,
	"two values":             `{"keys": []} {}`,
	"not UTF-8":              "keys:\n- id: a\n  name: \xff\n  sha256: $A\n  source: src-1\n",
	"not UTF-8 at the end":   "keys:\n- id: a\n  sha256: $A\n  source: src-1\n# \xe2\x82",
	"duplicate digest":       "keys:\n- {id: a, sha256: $A, source: src-1}\n- {id: b, sha256: $A, source: src-1}\n",
	"duplicate id":           "keys:\n- {id: a, sha256: $A, source: src-1}\n- {id: a, sha256: $B, source: src-1}\n",
	"duplicate id in JSON":   `{"keys": [{"id": "a", "sha256": "$A", "source": "src-1"}, {"id": "a", "sha256": "$B", "source": "src-1"}]}`,
	"no list in JSON":        `{"keys": {}}`,
	"text in JSON":           `{"keys": ["a"]}`,
	"not closed":             `{"keys": [`,
	"long line":              "keys:\n# " + strings.Repeat("x", 2*partBytes) + "\n- {id: a, sha256: $A, source: src-1}\n",
	"carriage return at end": "keys:\n- {id: a, sha256: $A, source: src-1}\r",
}

// usualFiles are decoded while they are read.
var usualFiles = map[string]string{
	"CRLF and byte order mark": byteOrderMark + "keys:\r\n- id: a\r\n  sha256: $A\r\n  source: src-1\r\n",
	"no key":                   `{"keys": []}`,
	"all kinds of values": "keys:\n  - id: a\n    name: One (of 2) x=1 12:30 a/b@c+d\n    sha256: \"$A\"\n    source: [src-1, \"src-2\" , 'src-3']\n" +
		"    expires: 2030-01-01T00:00:00Z\n    not_before: 2020-01-01\n    kind: publishable\n    origins:\n    - https://a.example.com\n    - \"*\"\n    state: disabled\n",
	"a list that is indented": "keys:\n- id: a\n  source:\n      - src-1\n      # a comment\n\n      - src-2\n  sha256: $A\n",
	"simple keys and others": "keys:\n- id: a\n  sha256: $A\n  source: src-1\n- id: b\n  name: >-\n    x\n    - id: y\n  sha256: $B\n  source: src-1\n  limits:\n    streams: 3\n" +
		"- {id: c, source: src-1, sha256: $C}\n- {id: d, source: src-1, sha256: $D}\n- id: e\n  sha256: $E\n  source: src-2\n",
	"agents":       "keys:\n- id: a\n  token: \"{env.TOKEN_A}\"\n  agent: '{env.AGENT}'\n",
	"JSON":         "{\"keys\": [{\"id\": \"a\", \"name\": \"\\ud83d\\ude00 \\\"x\\\"\", \"sha256\": \"$A\", \"source\": \"src-1\", \"limits\": {\"streams\": 3}}]}\n\n",
	"non-ASCII":    "keys:\n- id: a\n  name: Café 😀\n  sha256: $A\n  source: src-1\n",
	"no last line": "keys:\n- id: a\n  sha256: $A\n  source: src-1",
}

// fillAll is fill with five digests.
func fillAll(file string) []byte {
	for _, name := range []string{"C", "D", "E"} {
		file = strings.ReplaceAll(file, "$"+name, keys.DigestOf("token-"+name).Hex())
	}
	return []byte(fill(file))
}

func TestStreamAndWholeFileAreEqual(t *testing.T) {
	for name, list := range trickyKeys {
		t.Run(name, func(t *testing.T) { compareStream(t, fillAll("keys:\n"+list)) })
	}
	for name, file := range unusualFiles {
		t.Run(name, func(t *testing.T) {
			if compareStream(t, fillAll(file)) {
				t.Error("decoded while reading")
			}
		})
	}
	for name, file := range usualFiles {
		t.Run(name, func(t *testing.T) {
			if !compareStream(t, fillAll(file)) {
				_, faults := parse(fillAll(file), testOptions())
				t.Errorf("decoded as a whole; faults: %v", faults)
			}
		})
	}
	for name, data := range map[string][]byte{"YAML": manyKeys(5000), "JSON": manyKeysJSON(5000)} {
		t.Run(name, func(t *testing.T) {
			if !compareStream(t, data) {
				t.Error("decoded as a whole")
			}
		})
	}
}

func FuzzStream(f *testing.F) {
	for _, list := range trickyKeys {
		f.Add(fillAll("keys:\n" + list))
	}
	for _, files := range []map[string]string{usualFiles, unusualFiles} {
		for _, file := range files {
			f.Add(fillAll(file))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) { compareStream(t, data) })
}

// simpleLines are lines of a key that are simple for the parser, or almost.
var simpleLines = []string{
	"- id: a\n  name: x y\n  source: [a, \"b c\", 'd']\n", "-   id: a\n    name: x\n", "- id: 0x12\n  name: 1e3\n  state: off\n  expires: 2026-01-01\n",
	"- id: true\n  name: Null\n  sha256: " + strings.Repeat("12345678", 8) + "\n", "- sha256: 0b" + strings.Repeat("01", 31) + "\n  id: .5\n",
	"- source:\n  - a\n  - 1\n  id: x\n", "- source:\n     - a\n     - b\n  id: x\n", "- source:\n  id: x\n", "- id: a\n    b\n", "- id: a\n\n  # c\n  name: b\n",
	"- id: 'it''s'\n", "- id: \"a\" b\n", "- source: [a,]\n", "- source: [a b, c]\n", "- source: [\"a\"b]\n", "- source: ['a' 'b']\n", "- id: a#b\n", "- id: a #b\n",
	"- id: a:b\n", "- id: a: b\n", "- id: a:\n", "- id:b\n", "- id : b\n", "- id: =\n", "- id: a\n- id: b\n", "- id: a \n  name:  b  \n", "- source: []\n",
	"- id: 1_000\n  name: 12:30:45\n  state: 0o7\n  kind: +1\n  agent: 1.\n", "- id: y\n  name: no\n  state: ~\n", "- id: a\n  id: b\n", "- source: [ a , b ]\n",
}

// FuzzSimpleKey compares the parser of simple keys with the library: it must have the same nodes, or give up.
func FuzzSimpleKey(f *testing.F) {
	for _, lines := range simpleLines {
		f.Add(lines)
		f.Add("  " + strings.ReplaceAll(strings.TrimSuffix(lines, "\n"), "\n", "\n  ") + "\n")
	}
	f.Fuzz(func(t *testing.T, lines string) {
		indent := len(lines) - len(strings.TrimLeft(lines, " "))
		if !strings.HasPrefix(lines[indent:], "- ") || !strings.HasSuffix(lines, "\n") {
			return
		}
		for i, line := range strings.Split(strings.TrimSuffix(lines, "\n"), "\n") { // as yamlStream passes them
			if text := strings.TrimLeft(line, " "); i > 0 && text != "" && text[0] != '#' && len(line)-len(text) <= indent {
				return
			}
		}
		got := parseSimpleKey(new(arena), lines)
		if got == nil {
			return
		}
		root, fault := parseYAMLAt([]byte(lines), []byte("keys:\n"), 0)
		if fault != nil || len(root.fields) != 1 || len(root.fields[0].value.items) != 1 {
			t.Fatalf("simple, but the library disagrees: %v\n%s", fault, lines)
		}
		if a, b := describe(got), describe(root.fields[0].value.items[0]); a != b {
			t.Errorf("%s\nnodes %s\n want %s", lines, a, b)
		}
	})
}

// describe returns the content of a node without positions.
func describe(n *node) string {
	text := fmt.Sprintf("%d %q", n.kind, n.text)
	for _, item := range n.items {
		text += "[" + describe(item) + "]"
	}
	for _, m := range n.fields {
		text += fmt.Sprintf("{%d %q: %s}", m.key, m.name, describe(m.value))
	}
	return text
}

// A file with a fault has the same error whether or not the store takes the keys over.
func TestLoadBatchReportsFaults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.yaml")
	o := *testOptions()
	o.Path = path
	for name, end := range map[string]string{
		"valid":          "",
		"duplicate":      "  - id: customer-7\n    sha256: $A\n    source: src-1\n",
		"invalid YAML":   "  - id: [\n",
		"no last digest": "  - id: x\n    source: src-1\n",
	} {
		t.Run(name, func(t *testing.T) {
			write(t, path, string(manyKeys(2000))+fill(end))
			set, wantErr := newFeed(t, o).Load(t.Context())
			batch, err := newFeed(t, o).LoadBatch(t.Context())
			if fmt.Sprint(err) != fmt.Sprint(wantErr) || (err == nil) != (end == "") {
				t.Fatalf("error %v, want %v", err, wantErr)
			}
			if err == nil && batch.Len() != len(set) {
				t.Errorf("%d keys, want %d", batch.Len(), len(set))
			}
		})
	}
}

// Decoding a file while it is read allocates little more than the keys.
func TestStreamAllocatesLittle(t *testing.T) {
	const n, most = 2000, 1100
	for name, data := range map[string][]byte{"YAML": manyKeys(n), "JSON": manyKeysJSON(n)} {
		t.Run(name, func(t *testing.T) {
			o := testOptions()
			allocated := alloctest.MinBytes(n*most, func() {
				if batch, _, err := streamFrom(bytes.NewReader(data), o); err != nil || batch.Len() != n {
					t.Fatal(err)
				}
			})
			if allocated > n*most {
				t.Errorf("loading %d keys allocates %d bytes per key, want at most %d", n, allocated/n, most)
			}
			t.Logf("%d bytes per key", allocated/n)
		})
	}
}
