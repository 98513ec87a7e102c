package storagetest

import (
	"context"
	"testing"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

// Follow loads the keys of a registry into a store, and makes each change of the registry effective there, as a gate does. The changes of
// other registries with the same storage need the syncer's Run.
func Follow(t testing.TB, r *registry.Registry, store *keys.Store) *keys.Syncer {
	t.Helper()
	feed := r.Feed()
	syncer := keys.NewSyncer(store, []keys.Feed{feed}, nil)
	if err := syncer.LoadAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.OnChange(func(ctx context.Context) error { return syncer.Sync(ctx, feed.Name()) })
	return syncer
}
