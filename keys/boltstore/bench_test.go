package boltstore

import (
	"flag"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/docsgate/docsgate/keys/registry"
)

var large = flag.Bool("million", false, "also measure with a million records")

// sizes returns the numbers of records to measure with.
func sizes() []int {
	if *large {
		return []int{100_000, 1_000_000}
	}
	return []int{100_000}
}

// filled creates a store of n records and returns its path.
func filled(b *testing.B, n int) string {
	b.Helper()
	path := newPath(b)
	s, err := Open(b.Context(), Options{Path: path})
	if err != nil {
		b.Fatal(err)
	}
	fill(b, s, n)
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	return path
}

func BenchmarkWrite(b *testing.B) {
	for _, writers := range []int{1, 64} {
		b.Run(fmt.Sprint("writers=", writers), func(b *testing.B) {
			s := openStore(b, newPath(b))
			var n atomic.Int64
			b.SetParallelism(writers)
			write := func() {
				r := record(int(n.Add(1)))
				if err := s.Write(b.Context(), []*registry.Record{r}, []*registry.AuditEntry{entry(r, registry.ActionCreated)}); err != nil {
					b.Error(err)
				}
			}
			if writers == 1 {
				for b.Loop() {
					write()
				}
				return
			}
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					write()
				}
			})
		})
	}
}

func BenchmarkOpen(b *testing.B) {
	for _, n := range sizes() {
		b.Run(fmt.Sprint("records=", n), func(b *testing.B) {
			path := filled(b, n)
			for b.Loop() {
				s, err := Open(b.Context(), Options{Path: path})
				if err != nil {
					b.Fatal(err)
				}
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAll(b *testing.B) {
	for _, n := range sizes() {
		b.Run(fmt.Sprint("records=", n), func(b *testing.B) {
			s := openStore(b, filled(b, n))
			b.ReportAllocs()
			for b.Loop() {
				if found, err := count(b.Context(), s); err != nil || found != n {
					b.Fatal(found, err)
				}
			}
		})
	}
}
