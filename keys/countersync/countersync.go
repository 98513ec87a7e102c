// Package countersync adds what a gate has counted to the totals of several gates, and reads what the other gates have added.
//
// A gate counts in memory. Regularly it adds the differences since the last time (deltas) to the totals in a storage, and reads the totals
// that have changed. It does not write per request, and while the storage is unavailable it goes on counting.
//
// No delta is lost or added twice: a batch of deltas has the random ID of its writer and a sequence number, which are stored in the
// transaction that adds it. If it is unknown whether a batch was stored, because the connection was lost, the same batch is added again.
package countersync

import "context"

// MaxRows is the maximum number of rows in one call of a Storage.
const MaxRows = 2000

// Batch contains deltas that are added together, at most one per key. R is the type of a row: the counts of one key.
type Batch[R any] struct {
	Writer string // random, of one Syncer
	Seq    uint64 // 1 for the first batch of the writer, then increasing by 1
	Deltas []R    // at most MaxRows
}

// Storage durably stores the totals of keys. It is safe for concurrent use, by several processes.
type Storage[R any] interface {
	// Add adds deltas to the totals in one transaction, unless a batch of the same writer with the same or a higher sequence was added
	// before. After an error it is unknown whether they were added; then the next batch of the writer must be the same one.
	Add(ctx context.Context, b Batch[R]) error

	// Changes returns totals that were changed after a revision, in the order of their last changes, and the revision to continue at.
	// If it returns MaxRows, there are more. The revision is lower than the argument if the storage was replaced by an older state.
	Changes(ctx context.Context, after uint64) (rows []R, revision uint64, err error)

	// Prune removes totals of past periods, and writers that have added nothing for a long time.
	Prune(ctx context.Context) error
}
