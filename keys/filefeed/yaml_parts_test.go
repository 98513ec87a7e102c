package filefeed

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/internal/alloctest"
	"github.com/docsgate/docsgate/keys"
)

// manyKeys returns a key file in the usual form.
func manyKeys(n int) []byte {
	var b strings.Builder
	b.WriteString("# generated\n\nkeys:\n")
	for i := range n {
		fmt.Fprintf(&b, "  # customer %d\n  - id: customer-%d\n    name: Customer %d\n    sha256: %s\n    source: [\"src-%d\"]\n",
			i, i, i, keys.DigestOf(fmt.Sprint("token-", i)).Hex(), i%100)
	}
	return []byte(b.String())
}

// trickyKeys are the lines below "keys:" in files with constructs that look like the beginning of a key but are not, or with keys that
// are not in the usual form.
var trickyKeys = map[string]string{
	"block scalar":                "  - id: a\n    name: |-\n      - id: x\n    sha256: $A\n    source: src-1\n  - id: b\n    sha256: $B\n    source: src-1\n",
	"block scalar as a key":       "  - |\n   - id: x\n  - id: b\n    sha256: $B\n    source: src-1\n",
	"block scalar without an end": "  - id: a\n    sha256: $A\n    source: |\n  - id: b\n",
	"quoted text":                 "  - id: a\n    name: \"one\n  - id: x\n    two\"\n    sha256: $A\n    source: src-1\n",
	"quoted text, single quotes":  "  - id: a\n    name: 'one\n  - id: x\n    two'\n    sha256: $A\n    source: src-1\n",
	"brackets":                    "  - id: a\n    sha256: $A\n    source: [src-1,\n  - id: b\n  ]\n",
	"braces":                      "  - {id: a,\n  - sha256: $A}\n  - {id: b}\n",
	"plain text of two lines":     "  - id: a\n    name: one\n     - two\n    sha256: $A\n    source: src-1\n",
	"list without indentation":    "- id: a\n  sha256: $A\n  source: src-1\n- id: b\n  sha256: $B\n  source:\n  - src-1\n  - src-2\n",
	"list in a list":              "  - - id: a\n    - id: b\n  - id: c\n",
	"complex field name":          "  - ? id\n    : a\n  - ? - x\n",
	"less indentation":            "  - id: a\n    sha256: $A\n    source: src-1\nmore: 1\n",
	"less indentation of a key":   "  - id: a\n - id: b\n",
	"a field beside the keys":     "  - id: a\n  id: b\n",
	"anchor in another part":      "  - &x {id: a, sha256: $A, source: src-1}\n  - *x\n  - *y\n",
	"second document":             "- id: a\n---\nkeys:\n- id: b\n",
	"end of the document":         "  - id: a\n...\n  - id: b\n",
	"tab":                         "  - id: a\n\t- id: b\n",
	"comments":                    "  # one\n  - id: a # two\n# three\n    # four\n    sha256: $A\n  # five\n    source: src-1\n  # six\n  - id: b\n#- id: c\n",
	"CRLF":                        "  - id: a\r\n    sha256: $A\r\n    source: src-1\r\n\r\n  - id: a\r\n    sha256: $B\r\n    source: src-1\r\n",
	"other line breaks":           "  - id: a\r    sha256: $A\n    source: src-1\n  - id: b\u2028    name: x\n  - id: c\u0085  - id: d\n",
	"no field":                    "  -\n  - id: a\n  - \n",
	"faults in several keys":      "  - id: a\n    sha256: $A\n  - id: a\n    sha256: $A\n    source: src-1\n    sources: src-2\n  - id: 7\n",
	"no end of the last line":     "  - id: a\n    sha256: $A\n    source: src-1\n  - id: b\n    sha256: $B\n    source: src-1",
}

// compareParts parses a file with a cut before each key, and as a whole, and compares keys and faults.
func compareParts(t *testing.T, data []byte) {
	t.Helper()
	whole := decoder{options: testOptions(), partBytes: math.MaxInt / 2}
	parts := decoder{options: testOptions(), partBytes: 1}
	want, wantFaults := whole.parse(data)
	got, faults := parts.parse(data)
	if fmt.Sprint(faults) != fmt.Sprint(wantFaults) {
		t.Fatalf("faults of\n%s\nwith parts:\n%v\nwithout:\n%v", data, faults, wantFaults)
	}
	for i := range faults {
		if faults[i] != wantFaults[i] {
			t.Fatalf("fault %+v, without parts %+v", faults[i], wantFaults[i])
		}
	}
	compare(t, got, want)
}

// A file that is parsed in parts has the same keys and faults as if it were parsed as a whole.
func TestPartsAndWholeFileAreEqual(t *testing.T) {
	for name, list := range trickyKeys {
		t.Run(name, func(t *testing.T) { compareParts(t, []byte(fill("keys:\n"+list))) })
	}
	t.Run("many keys", func(t *testing.T) { compareParts(t, manyKeys(200)) })
	t.Run("a comment behind keys", func(t *testing.T) { compareParts(t, []byte(fill("keys: # all\n"+trickyKeys["CRLF"]))) })
}

func FuzzParts(f *testing.F) {
	for _, list := range trickyKeys {
		f.Add([]byte(fill(list)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		compareParts(t, data)
		compareParts(t, append([]byte("keys:\n"), data...))
	})
}

// A large file is parsed in parts of bounded size, whatever its number of keys, and all of it.
func TestLargeFileIsSplit(t *testing.T) {
	const n = 5000
	data := manyKeys(n)
	parts := splitYAML(data, partBytes)
	size, count := 0, 0
	for _, part := range parts {
		if len(part.data) > partBytes+1000 {
			t.Errorf("a part of %d bytes, want about %d", len(part.data), partBytes)
		}
		size, count = size+len(part.data), count+part.keys
	}
	if size != len(data) || count != n {
		t.Errorf("%d parts with %d keys in %d bytes, want %d keys in %d bytes", len(parts), count, size, n, len(data))
	}
	c := decoder{options: testOptions()}
	if !c.parts(parts) || len(c.set) != n || len(c.faults) > 0 {
		t.Errorf("%d keys and %d faults in the parts, want %d keys", len(c.set), len(c.faults), n)
	}
}

// maxBytesPerKey is the maximum number of bytes that loading allocates for each key, garbage included; it takes about 5,200. When this
// fails, see which change allocates more: go test -run TestAllocatedBytesPerKey -memprofile mem -memprofilerate 4096 ./keys/filefeed
const maxBytesPerKey = 6000

func TestAllocatedBytesPerKey(t *testing.T) {
	const n = 2000
	data := manyKeys(n)
	o := testOptions()
	allocated := alloctest.MinBytes(n*maxBytesPerKey, func() {
		if set, faults := parse(data, o); len(set) != n {
			t.Fatal(faults)
		}
	})
	if allocated > n*maxBytesPerKey {
		t.Errorf("loading %d keys allocates %d bytes per key, want at most %d", n, allocated/n, maxBytesPerKey)
	}
	t.Logf("%d bytes per key", allocated/n)
}

// BenchmarkLoad decodes a file and stores its keys, as the start of a gate does.
func BenchmarkLoad(b *testing.B) {
	const n = 100_000
	for name, data := range map[string][]byte{"keys.yaml": manyKeys(n), "keys.json": manyKeysJSON(n)} {
		b.Run(name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), name)
			write(b, path, string(data))
			o := *testOptions()
			o.Path = path
			b.ReportAllocs()
			for b.Loop() {
				batch, err := newFeed(b, o).LoadBatch(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				if _, err := keys.NewStore().ReplaceBatch("f", batch); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
