package replica_test

import (
	"fmt"
	"testing"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

// BenchmarkFirstCopy measures writing the copy of 100,000 keys, and opening it. The server reads in the same process.
func BenchmarkFirstCopy(b *testing.B) {
	const n, batch = 100_000, 5000
	s := newSetup(b, pgtest.Database(b))
	storage := s.open(b)
	for from := 0; from < n; from += batch {
		var records []*registry.Record
		for i := from; i < from+batch; i++ {
			id := fmt.Sprintf("key_%026d", i)
			records = append(records, &registry.Record{
				ID: id, Name: "a name of usual length", Sources: []string{"7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10"}, Digest: keys.DigestOf(id), Hint: "a1B2",
			})
		}
		if err := storage.Write(b.Context(), records, nil); err != nil {
			b.Fatal(err)
		}
	}
	_ = storage.Close()
	for b.Loop() {
		s.path += "x"
		storage := s.open(b)
		feedtest.Eventually(b, "the copy", func() bool { return storage.CopyRevision() == n })
		b.StopTimer()
		_ = storage.Close()
		b.StartTimer()
	}
}
