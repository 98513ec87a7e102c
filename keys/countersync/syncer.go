package countersync

import (
	"context"
	"crypto/rand"
	"time"
)

const (
	// maxCalls is the maximum number of batches that one Sync adds, and of reads. What is left is for the next Sync.
	maxCalls = 50

	pruneEvery = time.Hour
)

// Syncer adds deltas to a Storage and reads totals. It is not safe for concurrent use. Create one with NewSyncer.
type Syncer[R any] struct {
	storage Storage[R]
	take    func(limit int) []R
	apply   func([]R)

	batch    Batch[R] // no deltas: nothing has been taken that is not stored
	revision uint64   // all totals up to it were read
	pruned   time.Time
}

// NewSyncer returns a syncer with a new writer ID.
//
// take returns at most limit deltas of what was counted since its last call. The syncer adds them, however long that takes, so the caller
// treats them as added. apply receives totals, which contain all deltas that were taken before.
func NewSyncer[R any](s Storage[R], take func(limit int) []R, apply func([]R)) *Syncer[R] {
	return &Syncer[R]{storage: s, take: take, apply: apply, batch: Batch[R]{Writer: rand.Text()}}
}

// Sync adds what was counted, and then reads what has changed. After an error the next call continues.
func (s *Syncer[R]) Sync(ctx context.Context) error {
	for range maxCalls {
		if err := s.addBatch(ctx); err != nil {
			return err
		}
		if s.batch.Deltas = s.take(MaxRows); len(s.batch.Deltas) == 0 {
			break
		}
		s.batch.Seq++
	}
	if err := s.addBatch(ctx); err != nil {
		return err
	}
	if _, err := s.read(ctx, s.apply); err != nil {
		return err
	}
	if time.Since(s.pruned) < pruneEvery {
		return nil
	}
	if err := s.storage.Prune(ctx); err != nil {
		return err
	}
	s.pruned = time.Now()
	return nil
}

// Load reads all totals and passes them to apply, which may be another function than that of NewSyncer. Before, it adds the batch of
// which it is unknown whether it was added. After an error Load must be called again.
func (s *Syncer[R]) Load(ctx context.Context, apply func([]R)) error {
	if err := s.addBatch(ctx); err != nil {
		return err
	}
	s.revision = 0
	for {
		if complete, err := s.read(ctx, apply); complete || err != nil {
			return err
		}
	}
}

// TakeOver makes the syncer continue with the batch of another one of the same storage, which must not be used any longer. It must be called
// before the first Sync and Load.
func (s *Syncer[R]) TakeOver(other *Syncer[R]) { s.batch = other.batch }

// addBatch adds the batch, if there is one.
func (s *Syncer[R]) addBatch(ctx context.Context) error {
	if len(s.batch.Deltas) == 0 {
		return nil
	}
	if err := s.storage.Add(ctx, s.batch); err != nil {
		return err
	}
	s.batch.Deltas = nil
	return nil
}

// read passes changed totals to apply, and reports whether those were all.
func (s *Syncer[R]) read(ctx context.Context, apply func([]R)) (complete bool, err error) {
	for range maxCalls {
		rows, revision, err := s.storage.Changes(ctx, s.revision)
		if err != nil {
			return false, err
		}
		apply(rows)
		if revision < s.revision {
			s.revision = 0 // the storage was replaced by a backup, so all rows may have changed
			continue
		}
		s.revision = revision
		if len(rows) < MaxRows {
			return true, nil
		}
	}
	return false, nil
}
