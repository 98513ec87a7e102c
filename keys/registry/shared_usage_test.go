package registry_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docsgate/docsgate/keys/countersync"
	"github.com/docsgate/docsgate/keys/countersync/countersynctest"
	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/registry/memstorage"
	"github.com/docsgate/docsgate/keys/usage"
)

// sharedStorage is a storage whose usage is shared.
type sharedStorage struct {
	*memstorage.Storage
	use *countersynctest.Memory[usage.Row]
}

func (s *sharedStorage) SharedUse() countersync.Storage[usage.Row] { return s.use }

func (s *sharedStorage) SharedQuotas() countersync.Storage[quota.Row] { return nil }

// SaveUse must not be called: it replaces what others have counted.
func (s *sharedStorage) SaveUse(context.Context, []usage.Row) error {
	panic("SaveUse of a shared storage")
}

// Two gates with one storage have the sum of their usage, also after an outage at the start or later.
func TestSharedUsage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage := &sharedStorage{memstorage.New(), countersynctest.New(func(r usage.Row) string { return r.ID }, usage.Row.AddDelta, nil)}
		storage.use.SetFail(func() error { return countersynctest.ErrLost })
		var meters [2]*usage.Counter
		for i := range meters {
			meters[i] = usage.NewMeter()
			r, err := registry.New(registry.Options{Storage: storage, Usage: meters[i]})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan struct{})
			go func() { r.Run(ctx); close(ended) }()
			defer func() { cancel(); <-ended }()
		}
		want := func(when string, want uint32) {
			t.Helper()
			time.Sleep(20 * time.Second)
			synctest.Wait()
			for i, m := range meters {
				if got := m.Get("a", time.Now()); got.Requests[usage.Hours-1] != want || got.LastUsed.IsZero() {
					t.Errorf("%s: gate %d has %d requests, want %d", when, i, got.Requests[usage.Hours-1], want)
				}
			}
		}
		meters[0].Count("a", false, time.Now())
		time.Sleep(time.Minute)
		storage.use.SetFail(nil)
		meters[1].Count("a", false, time.Now())
		want("after an outage at the start", 2)
		storage.use.SetFail(func() error { return countersynctest.ErrLost })
		meters[0].Count("a", false, time.Now())
		time.Sleep(time.Minute)
		meters[0].Count("a", false, time.Now())
		storage.use.SetFail(nil)
		want("after another outage", 4)
	})
}
