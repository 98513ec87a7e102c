package keys

import (
	"strings"
	"testing"
)

func TestIsValidID(t *testing.T) {
	for id, want := range map[string]bool{
		"a": true, "0": true, "docs-site_2.example": true, "key_01k9s8q7v3t2m6n4x5c8b7a9ze": true, "A--": true, strings.Repeat("x", 128): true,
		"": false, "-a": false, ".a": false, "_a": false, "a b": false, "a/b": false, "a\n": false, "a\x00": false, "é": false, "aé": false, "\xff": false,
		"a\u200b": false, strings.Repeat("x", 129): false,
	} {
		if got := IsValidID(id); got != want {
			t.Errorf("%q: %v", id, got)
		}
	}
}
