package storagetest

import (
	"testing"

	"github.com/docsgate/docsgate/keys/registry"
)

func idempotencyRecords(t *testing.T, s registry.Storage) {
	get := func(name string) string {
		text, err := s.GetIdempotencyRecord(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for _, n := range [][2]string{{"a", "one"}, {"b", "two"}, {"a", "three"}, {"a/b", "four"}} {
		if err := s.PutIdempotencyRecord(t.Context(), n[0], n[1]); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"a": "three", "b": "two", "a/b": "four", "c": ""} {
		if got := get(name); got != want {
			t.Errorf("idempotency record %q is %q, want %q", name, got, want)
		}
	}
}
