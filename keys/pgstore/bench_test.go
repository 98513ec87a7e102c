package pgstore_test

import (
	"fmt"
	"testing"

	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys/registry"
)

// BenchmarkWrite measures one change with its audit entry. Writes are serialized, so this is the limit of all gates together.
func BenchmarkWrite(b *testing.B) {
	s := open(b, options(pgtest.Database(b)))
	r := record("key_a")
	for b.Loop() {
		write(b, s, r)
	}
}

// BenchmarkChanges measures what each gate reads after a change of one key, and without a change, as after a notification that it was
// the cause of.
func BenchmarkChanges(b *testing.B) {
	for _, changed := range []int{0, 1} {
		b.Run(fmt.Sprint(changed), func(b *testing.B) {
			s := open(b, options(pgtest.Database(b)))
			r := record("key_a")
			write(b, s, r)
			for b.Loop() {
				n := 0
				if _, err := s.Changes(b.Context(), 1-uint64(changed), func(*registry.Record) error { n++; return nil }); err != nil || n != changed {
					b.Fatal(n, err)
				}
			}
		})
	}
}
