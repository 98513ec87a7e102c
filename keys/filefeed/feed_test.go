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

func TestNewRejectsInvalidOptions(t *testing.T) {
	for name, o := range map[string]Options{"no path": {}, "negative poll": {Path: "keys.yaml", Poll: -1}} {
		t.Run(name, func(t *testing.T) {
			if _, err := New(o); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestNameContainsConfiguredPath(t *testing.T) {
	if got := newFeed(t, Options{Path: "/etc/docsgate/keys.yaml"}).Name(); got != "file:/etc/docsgate/keys.yaml" {
		t.Errorf("Name() = %q", got)
	}
}

// An unreadable file is a fault with a path but without a line.
func TestLoadUnreadableFiles(t *testing.T) {
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
		"missing":   {filepath.Join(dir, "none.yaml"), `the file does not exist: create it with at least "keys: []"`},
		"directory": {dir, "not a regular file: specify the path of the key file itself"},
		"too large": {large, "the file is larger than 64 MiB: split it into several feeds"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := newFeed(t, Options{Path: tc.path}).Load(t.Context())
			var faults ErrorList
			if !errors.As(err, &faults) || len(faults) != 1 {
				t.Fatalf("error %v, want one fault", err)
			}
			if got, want := err.Error(), tc.path+": "+tc.want; got != want {
				t.Errorf("error %q, want %q", got, want)
			}
		})
	}
}

// Each fault is a separate line with the path as configured.
func TestLoadErrorsContainPath(t *testing.T) {
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
	var fault Error
	if !errors.As(err, &fault) || fault.Line != 3 || fault.Column != 13 {
		t.Errorf("first fault %+v, want line 3, column 13", fault)
	}
}

func TestLoadEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newFeed(t, Options{Path: "keys.yaml"}).Load(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// Without Resolve placeholders are resolved from the environment and the files of the process.
func TestLoadWithDefaultResolve(t *testing.T) {
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

// No error contains a secret, wherever in a file it was put by mistake. (IDs and the names of variables and files are not
// secret.)
func TestFaultsContainNoSecret(t *testing.T) {
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
		"the whole file":            "$C",
		"a separate line":           "keys: []\n$C\n",
		"field of the file":         "keys: []\n$C: x\n",
		"instead of keys":           "$C: []\n",
		"keys":                      "keys: $C\n",
		"a record":                  "keys: [$C]\n",
		"field of a record":         "keys: [{id: a, sha256: $A, source: s, $C: x}]\n",
		"duplicate field":           "keys: [{id: a, sha256: $A, source: s, $C: x, $C: x}]\n",
		"sha256":                    "keys: [{id: a, sha256: $C, source: s}]\n",
		"token":                     "keys: [{id: a, token: $C, source: s}]\n",
		"agent":                     "keys: [{id: a, sha256: $A, agent: $C}]\n",
		"agent, in braces":          "keys: [{id: a, sha256: $A, agent: {$C}}]\n",
		"agent, in braces twice":    "keys: [{id: a, sha256: $A, agent: '{{$C}}'}]\n",
		"agent, a list":             "keys: [{id: a, sha256: $A, agent: [$C]}]\n",
		"agent and source":          "keys: [{id: a, sha256: $A, source: s, agent: $C}]\n",
		"state":                     "keys: [{id: a, sha256: $A, source: s, state: $C}]\n",
		"not_before":                "keys: [{id: a, sha256: $A, source: s, not_before: $C}]\n",
		"expires":                   "keys: [{id: a, sha256: $A, source: s, expires: $C}]\n",
		"source, duplicate":         "keys: [{id: a, sha256: $A, source: [$C, $C]}]\n",
		"id with a space":           "keys: [{id: '$C $C', sha256: $A, source: s}]\n",
		"name with a newline":       "keys: [{id: a, name: \"$C\\n\", sha256: $A, source: s}]\n",
		"alias":                     "keys: [{id: a, sha256: $A, agent: *$C }]\n",
		"anchor":                    "keys: [{id: a, sha256: $A, agent: &$C x}]\n",
		"tag":                       "keys: [{id: a, sha256: $A, agent: !$C x}]\n",
		"undefined tag handle":      "keys: [{id: a, sha256: $A, agent: !$C!x x}]\n",
		"directive":                 "%$C\n---\nkeys: []\n",
		"invalid escape":            "keys: [{id: a, agent: \"$C\\q\"}]\n",
		"unterminated string":       "keys: [{id: a, agent: \"$C\n",
		"reserved character":        "keys: [{id: a, agent: @$C}]\n",
		"second document":           "keys: []\n--- $C\n",
		"resolved, with a space":    "keys: [{id: a, sha256: $A, agent: '{env.BLANK}'}]\n",
		"resolved, with an error":   "keys: [{id: a, sha256: $A, agent: '{env.BOTH}'}]\n",
		"resolved twice":            "keys: [{id: a, token: '{env.X}', source: s}, {id: b, token: '{env.Y}', source: s}]\n",
		"JSON, bare":                "{\"keys\": [{\"agent\": $C}]}",
		"JSON, field":               "{\"keys\": [{\"$C\": 1}], \"$C\": 2}",
		"JSON, token":               "{\"keys\": [{\"id\": \"a\", \"token\": \"$C\", \"source\": \"s\"}]}",
		"JSON, bad escape":          "{\"keys\": [{\"id\": \"a\", \"token\": \"\\x$C\"}]}",
		"JSON, after the end":       "{\"keys\": []} $C",
		"JSON, unterminated string": "{\"keys\": [{\"token\": \"$C",
	}
	for name, file := range files {
		t.Run(name, func(t *testing.T) {
			_, faults := parse([]byte(strings.ReplaceAll(fill(file), "$C", canary)), o)
			if len(faults) == 0 {
				t.Fatal("no fault")
			}
			if text := faults.Error(); strings.Contains(text, "CANARY") {
				t.Errorf("the fault contains the secret: %s", text)
			}
		})
	}
}
