package registry_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/registry/memstorage"
)

// generatedStorage is a storage with n records that are generated when they are read.
type generatedStorage struct {
	*memstorage.Storage
	n int
}

func (m generatedStorage) Count(context.Context) (int, error) { return m.n, nil }

func (m generatedStorage) All(_ context.Context, yield func(*registry.Record) error) (uint64, error) {
	rec := registry.Record{Name: "a key of a page", Hint: "a1B2", Sources: []string{sourceID}, Created: noon}
	for i := range m.n {
		rec.ID = fmt.Sprintf("key_%026d", i)
		rec.Digest = keys.DigestOf(rec.ID)
		if err := yield(&rec); err != nil {
			return 0, err
		}
	}
	return 1, nil
}

// BenchmarkLoad loads 100,000 keys. Three allocations per key are those of the storage.
func BenchmarkLoad(b *testing.B) {
	r, err := registry.New(registry.Options{Storage: generatedStorage{memstorage.New(), 100_000}})
	if err != nil {
		b.Fatal(err)
	}
	r.SetRules(registry.Rules{CheckSource: func(id string) (string, error) { return id, nil }})
	b.ReportAllocs()
	for b.Loop() {
		if set, err := r.Feed().Load(b.Context()); err != nil || len(set) != 100_000 {
			b.Fatal(err)
		}
	}
}
