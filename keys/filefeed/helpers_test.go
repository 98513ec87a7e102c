package filefeed

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/keys"
)

// Digests of two tokens, as "docsgate keys hash" prints them.
var (
	sumA = keys.DigestOf("token-a").Hex()
	sumB = keys.DigestOf("token-b").Hex()
)

// resolved contains the values of placeholders in tests.
var resolved = map[string]string{
	"{env.TOKEN_A}":       "token-a",
	"{env.TOKEN_B}":       "token-b",
	"{env.AGENT}":         "agent-secret-9f8e7d",
	"{env.EMPTY}":         "",
	"{env.BLANKS}":        "two words-5c4b3a",
	"{env.MISTYPED}":      "dgk_000000000000000000000000037127000YQg",
	"{file./run/agent}":   "agent-from-file\n",
	"{file.keys/token.b}": "token-b\r\n",
}

func resolve(placeholder string) (string, error) {
	v, ok := resolved[placeholder]
	if !ok {
		return "", errors.New("unknown placeholder " + placeholder)
	}
	return v, nil
}

// checkSource accepts IDs that start with "src-", in upper or lower case.
func checkSource(id string) (string, error) {
	if id = strings.ToLower(id); !strings.HasPrefix(id, "src-") {
		return "", errors.New(`a source id starts with "src-"`)
	}
	return id, nil
}

func checkSources(n int) error {
	if n > 3 {
		return errors.New("at most 3 sources")
	}
	return nil
}

func testOptions() *Options {
	return &Options{Path: "keys.yaml", Resolve: resolve, CheckSource: checkSource, CheckSources: checkSources}
}

// fill replaces $A and $B with the two digests.
func fill(content string) string {
	return strings.NewReplacer("$A", sumA, "$B", sumB).Replace(content)
}

// write replaces the content of a file atomically.
func write(t testing.TB, path, content string) {
	t.Helper()
	tmp := filepath.Join(filepath.Dir(path), ".new")
	if err := os.WriteFile(tmp, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(tmp, path); err != nil {
		t.Fatal(err)
	}
}

func newFeed(t testing.TB, o Options) *Feed {
	t.Helper()
	f, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}
