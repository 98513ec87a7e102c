package keys

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

func batchOf(set ...Key) *Batch {
	b := new(Batch)
	for i := range set {
		b.Add(&set[i])
	}
	return b
}

// ReplaceBatch does what Replace does: at the first time, with other keys in the store, and with conflicts.
func TestReplaceBatchIsReplace(t *testing.T) {
	same := sourceKey("b")
	same.Digest = DigestOf(tokenOf("a"))
	changed := sourceKey("a")
	changed.Name = "another"
	for _, other := range [][]Key{nil, {sourceKey("o")}} {
		sets := [][]Key{
			{sourceKey("a"), sourceKey("b")},
			{sourceKey("a"), sourceKey("c")},
			{changed, sourceKey("c")},
			{sourceKey("a"), sourceKey("a")},
			{sourceKey("a"), same},
			{sourceKey("o")},
			{{ID: "incomplete"}},
			nil,
			{sourceKey("d")},
		}
		a, b := NewStore(), NewStore()
		for _, s := range []*Store{a, b} {
			mustReplace(t, s, "other", other...)
		}
		for i, set := range sets {
			want, wantErr := a.Replace("f", set)
			got, err := b.ReplaceBatch("f", batchOf(set...))
			if got != want || fmt.Sprint(err) != fmt.Sprint(wantErr) || a.Len() != b.Len() {
				t.Errorf("%d: %+v, %v, %d keys, want %+v, %v, %d keys", i, got, err, b.Len(), want, wantErr, a.Len())
			}
			for _, id := range []string{"a", "b", "c", "d", "o"} {
				if x, y := a.Get(id), b.Get(id); (x == nil) != (y == nil) || x != nil && !x.equal(y) {
					t.Errorf("%d: key %s is %+v, want %+v", i, id, y, x)
				}
			}
		}
	}
}

// batchFeed is a feed whose keys can only be loaded as a batch.
type batchFeed struct {
	set []Key
	err error
}

func (f *batchFeed) Name() string                        { return "batch" }
func (f *batchFeed) Load(context.Context) ([]Key, error) { return nil, errors.New("Load was called") }
func (f *batchFeed) Watch(context.Context, func()) error { return nil }
func (f *batchFeed) LoadBatch(context.Context) (*Batch, error) {
	if f.err != nil {
		return nil, f.err
	}
	return batchOf(f.set...), nil
}

func TestSyncerLoadsBatches(t *testing.T) {
	feed := &batchFeed{set: []Key{sourceKey("a")}}
	store := NewStore()
	s := NewSyncer(store, []Feed{feed}, nil)
	if err := s.LoadAll(t.Context()); err != nil || store.Get("a") == nil || !store.Ready() {
		t.Fatal(err)
	}
	feed.err = errors.New("invalid")
	if err := s.Reload(t.Context()); err == nil || store.Get("a") == nil {
		t.Errorf("%v; the last good keys must stay", err)
	}
	feed.set, feed.err = []Key{sourceKey("b")}, nil
	if err := s.Reload(t.Context()); err != nil || store.Get("a") != nil || store.Get("b") == nil {
		t.Error(err)
	}
}
