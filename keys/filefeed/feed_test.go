package filefeed

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/keys"
)

func TestNewRefusesOptionsWithoutMeaning(t *testing.T) {
	for name, o := range map[string]Options{"no path": {}, "negative poll": {Path: "keys.yaml", Poll: -1}} {
		t.Run(name, func(t *testing.T) {
			if _, err := New(o); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestNameHoldsNoDirectory(t *testing.T) {
	if got := newFeed(t, Options{Path: "/etc/docsgate/keys.yaml"}).Name(); got != "file:/etc/docsgate/keys.yaml" {
		t.Errorf("Name() = %q", got)
	}
}

// What cannot be read is a fault with the path and no line.
func TestLoadOfFilesThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.yaml")
	file, err := os.Create(large)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(file.Truncate(maxFileBytes+1), file.Close()); err != nil {
		t.Fatal(err)
	}
	cases := map[string]struct{ path, want string }{
		"missing":   {filepath.Join(dir, "none.yaml"), `the file does not exist: create it, "keys: []" is enough to begin with`},
		"directory": {dir, "this is not a regular file: name the key file itself"},
		"too large": {large, "the file is larger than 64 MiB: split it into several feeds"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := newFeed(t, Options{Path: tc.path}).Load(t.Context())
			var faults Faults
			if !errors.As(err, &faults) || len(faults) != 1 {
				t.Fatalf("error %v, want one fault", err)
			}
			if got, want := err.Error(), tc.path+": "+tc.want; got != want {
				t.Errorf("error %q, want %q", got, want)
			}
		})
	}
}

// Each fault stands on a line of its own, with the path as configured.
func TestLoadNamesThePath(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.yaml")
	write(t, path, "keys:\n  - id: a\n    sha256: x\n    source: s\n    state: on\n")
	_, err := newFeed(t, Options{Path: path}).Load(t.Context())
	if err == nil {
		t.Fatal("no error")
	}
	want := path + ":3: " + badDigest + "\n" + path + ":5: " + badState
	if err.Error() != want {
		t.Errorf("error:\n%v\nwant:\n%s", err, want)
	}
	var fault Fault
	if !errors.As(err, &fault) || fault.Line != 3 || fault.Column != 13 {
		t.Errorf("first fault %+v, want line 3, column 13", fault)
	}
}

func TestLoadEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newFeed(t, Options{Path: "keys.yaml"}).Load(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// Without Resolve the placeholders come from the environment and the files of the process.
func TestLoadResolvesByItself(t *testing.T) {
	dir := t.TempDir()
	path, agent := filepath.Join(dir, "keys.yaml"), filepath.Join(dir, "agent")
	t.Setenv("FILEFEED_TEST_TOKEN", "token-a")
	write(t, agent, "upstream-key\n")
	write(t, path, `keys: [{id: a, token: "{env.FILEFEED_TEST_TOKEN}", agent: "{file.`+agent+`}"}]`)
	set, err := newFeed(t, Options{Path: path}).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if set[0].Digest != keys.DigestOf("token-a") || set[0].Binding.Agent.Reveal() != "upstream-key" {
		t.Errorf("key %+v", set[0])
	}
}

// A secret is repeated in no error, wherever in a file it was put by mistake. (An id is public by its nature, and so is the
// name of a variable or a file.)
func TestNoFaultRepeatsASecret(t *testing.T) {
	const canary = "dgk_CANARY8f2e41c09b7d"
	o := testOptions()
	o.CheckSource = nil
	o.Resolve = func(p string) (string, error) {
		switch p {
		case "{env.BLANK}":
			return canary + " " + canary, nil
		case "{env.BOTH}":
			return canary, errors.New("cannot resolve " + canary)
		default:
			return canary, nil
		}
	}
	files := map[string]string{
		"the whole file":          "$C",
		"a line of its own":       "keys: []\n$C\n",
		"member of the file":      "keys: []\n$C: x\n",
		"instead of keys":         "$C: []\n",
		"keys":                    "keys: $C\n",
		"a record":                "keys: [$C]\n",
		"member of a record":      "keys: [{id: a, sha256: $A, source: s, $C: x}]\n",
		"twice":                   "keys: [{id: a, sha256: $A, source: s, $C: x, $C: x}]\n",
		"sha256":                  "keys: [{id: a, sha256: $C, source: s}]\n",
		"token":                   "keys: [{id: a, token: $C, source: s}]\n",
		"agent":                   "keys: [{id: a, sha256: $A, agent: $C}]\n",
		"agent, in braces":        "keys: [{id: a, sha256: $A, agent: {$C}}]\n",
		"agent, in braces twice":  "keys: [{id: a, sha256: $A, agent: '{{$C}}'}]\n",
		"agent, a list":           "keys: [{id: a, sha256: $A, agent: [$C]}]\n",
		"agent beside source":     "keys: [{id: a, sha256: $A, source: s, agent: $C}]\n",
		"state":                   "keys: [{id: a, sha256: $A, source: s, state: $C}]\n",
		"not_before":              "keys: [{id: a, sha256: $A, source: s, not_before: $C}]\n",
		"expires":                 "keys: [{id: a, sha256: $A, source: s, expires: $C}]\n",
		"source, repeated":        "keys: [{id: a, sha256: $A, source: [$C, $C]}]\n",
		"id with a blank":         "keys: [{id: '$C $C', sha256: $A, source: s}]\n",
		"name with a line end":    "keys: [{id: a, name: \"$C\\n\", sha256: $A, source: s}]\n",
		"alias":                   "keys: [{id: a, sha256: $A, agent: *$C }]\n",
		"anchor":                  "keys: [{id: a, sha256: $A, agent: &$C x}]\n",
		"tag":                     "keys: [{id: a, sha256: $A, agent: !$C x}]\n",
		"undefined tag handle":    "keys: [{id: a, sha256: $A, agent: !$C!x x}]\n",
		"directive":               "%$C\n---\nkeys: []\n",
		"broken text":             "keys: [{id: a, agent: \"$C\\q\"}]\n",
		"open text":               "keys: [{id: a, agent: \"$C\n",
		"reserved character":      "keys: [{id: a, agent: @$C}]\n",
		"second document":         "keys: []\n--- $C\n",
		"resolved, with a blank":  "keys: [{id: a, sha256: $A, agent: '{env.BLANK}'}]\n",
		"resolved, with an error": "keys: [{id: a, sha256: $A, agent: '{env.BOTH}'}]\n",
		"resolved twice":          "keys: [{id: a, token: '{env.X}', source: s}, {id: b, token: '{env.Y}', source: s}]\n",
		"JSON, bare":              "{\"keys\": [{\"agent\": $C}]}",
		"JSON, member":            "{\"keys\": [{\"$C\": 1}], \"$C\": 2}",
		"JSON, token":             "{\"keys\": [{\"id\": \"a\", \"token\": \"$C\", \"source\": \"s\"}]}",
		"JSON, bad escape":        "{\"keys\": [{\"id\": \"a\", \"token\": \"\\x$C\"}]}",
		"JSON, behind the end":    "{\"keys\": []} $C",
		"JSON, open text":         "{\"keys\": [{\"token\": \"$C",
	}
	for name, file := range files {
		t.Run(name, func(t *testing.T) {
			_, faults := parse([]byte(strings.ReplaceAll(fill(file), "$C", canary)), o)
			if len(faults) == 0 {
				t.Fatal("no fault")
			}
			if text := faults.Error(); strings.Contains(text, "CANARY") {
				t.Errorf("the fault shows the secret: %s", text)
			}
		})
	}
}
