package keys

import "context"

// Batch is a set of keys that a store takes over, so that they are not in memory twice while they are loaded. The zero value is empty. It
// is not safe for concurrent use.
type Batch struct{ records []*record }

// Add adds a key. Its slices must not be modified afterwards.
func (b *Batch) Add(k *Key) { b.records = append(b.records, &record{Key: *k}) }

// Len returns the number of keys.
func (b *Batch) Len() int { return len(b.records) }

// BatchFeed is a feed that can load its keys as a Batch.
type BatchFeed interface {
	Feed

	// LoadBatch is Load with another result.
	LoadBatch(ctx context.Context) (*Batch, error)
}
