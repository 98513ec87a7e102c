package registry_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/registry/memstorage"
)

// retentionTest is a registry in a bubble of synctest.
type retentionTest struct {
	*registry.Registry
	t       *testing.T
	storage *memstorage.Storage
}

func newRetentionTest(t *testing.T, storage *memstorage.Storage) *retentionTest {
	t.Helper()
	r, err := registry.New(registry.Options{Storage: storage})
	if err != nil {
		t.Fatal(err)
	}
	return &retentionTest{r, t, storage}
}

// create creates a key, and revokes it unless it is to remain.
func (r *retentionTest) create(revoke bool) (id string) {
	r.t.Helper()
	made, err := r.Create(r.t.Context(), alice, registry.CreateRequest{Name: "n", Sources: []string{sourceID}})
	if err != nil {
		r.t.Fatal(err)
	}
	if id = made.Record.ID; revoke {
		if _, err := r.Revoke(r.t.Context(), alice, id); err != nil {
			r.t.Fatal(err)
		}
	}
	return id
}

// start starts RetainRevoked until stop is called.
func (r *retentionTest) start(period time.Duration) (stop func()) {
	ctx, cancel := context.WithCancel(r.t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.RetainRevoked(ctx, period) })
	synctest.Wait()
	return func() { cancel(); running.Wait() }
}

func (r *retentionTest) wait(d time.Duration) {
	time.Sleep(d) // in the bubble
	synctest.Wait()
}

func (r *retentionTest) isDeleted(id string) bool {
	r.t.Helper()
	_, err := r.Get(r.t.Context(), id)
	if err != nil && !errors.Is(err, registry.ErrNotFound) {
		r.t.Fatal(err)
	}
	return err != nil
}

const day = 24 * time.Hour

func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetentionTest(t, memstorage.New())
		active, first := r.create(false), r.create(true)
		defer r.start(30 * day)()
		if r.isDeleted(first) {
			t.Error("a key was deleted immediately")
		}
		r.wait(10*day - time.Hour)
		second := r.create(true)
		r.wait(20*day + time.Hour)
		if r.isDeleted(first) {
			t.Error("a key was deleted before the end of its retention")
		}
		r.wait(day)
		if !r.isDeleted(first) || r.isDeleted(second) || r.isDeleted(active) {
			t.Errorf("a day after the retention of the first one, deleted: %t, %t, %t", r.isDeleted(first), r.isDeleted(second), r.isDeleted(active))
		}
		entries, err := r.Audit(t.Context(), first, 0, 1)
		if err != nil || len(entries) != 1 || entries[0].Action != registry.ActionDeleted || entries[0].Actor != "retention" || entries[0].Name != "n" {
			t.Errorf("audit trail %+v, %v", entries, err)
		}
		r.wait(20 * day)
		if !r.isDeleted(second) || r.isDeleted(active) {
			t.Error("the second key remains, or the active one does not")
		}
	})
}

// A period of less than 24 days is checked every hour, and a run after a reload is not repeated.
func TestShortRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetentionTest(t, memstorage.New())
		id := r.create(true)
		stop := r.start(day)
		r.wait(day)
		stop()
		defer r.start(day)()
		if r.isDeleted(id) { // it is not older than a day yet
			t.Error("a key was deleted too early")
		}
		r.wait(time.Hour)
		if !r.isDeleted(id) {
			t.Error("a key remains an hour after the end of its retention")
		}
	})
}

// A run that fails is repeated after an hour. A new configuration with another period runs immediately.
func TestRetentionAfterFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRetentionTest(t, memstorage.New())
		id := r.create(true)
		r.wait(40 * day)
		r.storage.Fail(registry.ErrUnavailable)
		stop := r.start(30 * day)
		r.storage.Fail(nil)
		r.wait(time.Hour - time.Second)
		if r.isDeleted(id) {
			t.Error("the run was repeated too early")
		}
		r.wait(time.Second)
		if !r.isDeleted(id) {
			t.Error("the run was not repeated")
		}
		stop()
		other := r.create(true)
		r.wait(10 * day)
		defer r.start(9 * day)()
		if !r.isDeleted(other) {
			t.Error("a shorter period has no effect")
		}
	})
}

// Several registries with one storage delete each key once.
func TestConcurrentRetention(t *testing.T) {
	storage := memstorage.New()
	r := newRetentionTest(t, storage)
	const count = 1200 // more than one write
	for range count {
		r.create(true)
	}
	var running sync.WaitGroup
	total, mu := 0, sync.Mutex{}
	for range 4 {
		running.Go(func() {
			n, err := newRetentionTest(t, storage).DeleteRevoked(t.Context(), alice, time.Now().Add(time.Hour))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			total += n
		})
	}
	running.Wait()
	if total != count {
		t.Errorf("%d keys were deleted, want %d", total, count)
	}
	deleted := map[string]int{}
	for _, e := range storageEntries(t, storage) {
		if e.Action == registry.ActionDeleted {
			deleted[e.Key]++
		}
	}
	for id, n := range deleted {
		if n != 1 {
			t.Errorf("key %s has %d entries", id, n)
		}
	}
	if len(deleted) != count {
		t.Errorf("%d keys have an entry, want %d", len(deleted), count)
	}
}

func storageEntries(t *testing.T, s *memstorage.Storage) []registry.AuditEntry {
	t.Helper()
	entries, err := s.Audit(t.Context(), "", 0, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// More keys than fit in memory at a time are deleted, and others remain.
func TestManyDeletions(t *testing.T) {
	storage := memstorage.New()
	const count = 25_000
	records := make([]*registry.Record, count)
	for i := range records {
		records[i] = &registry.Record{
			ID: fmt.Sprintf("key_%05d", i), Name: "n", Sources: []string{sourceID}, Digest: keys.DigestOf(fmt.Sprint(i)), State: keys.Revoked, Changed: noon,
		}
	}
	records[0].Changed, records[count-1].State = noon.Add(time.Second), keys.Active
	if err := storage.Write(t.Context(), records, nil); err != nil {
		t.Fatal(err)
	}
	r := newRetentionTest(t, storage)
	if n, err := r.DeleteRevoked(t.Context(), alice, noon.Add(time.Second)); n != count-2 || err != nil {
		t.Errorf("deleted %d, want %d; %v", n, count-2, err)
	}
	for i, want := range map[int]bool{0: false, 1: true, count / 2: true, count - 2: true, count - 1: false} {
		if got := r.isDeleted(records[i].ID); got != want {
			t.Errorf("%s is deleted: %t", records[i].ID, got)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.DeleteRevoked(ctx, alice, noon.Add(time.Hour)); !errors.Is(err, context.Canceled) {
		t.Errorf("with a canceled context: %v", err)
	}
}
