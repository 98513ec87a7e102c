package boltstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// maxBatch is the maximum number of jobs per transaction.
const maxBatch = 256

// writeOp is one write. run either returns an error before it has changed anything, or makes its changes.
type writeOp struct {
	run  func(*writeTx) error
	done chan error
}

// update runs a write and returns when it is synced to disk. ctx is checked only at the beginning, since after a later
// cancellation the caller would not know whether the write was stored.
//
// Writes that arrive during a transaction are queued and share the next transaction, so that they share one disk sync. bbolt's
// Batch does the same, but it delays each write to wait for others, and reruns a batch for each write that is rejected.
// Measured (BenchmarkWrite; one writer, 128 writers): 0.45 ms and 0.04 ms per write, against 11 ms and 0.12 ms for Batch.
func (s *Store) update(ctx context.Context, run func(*writeTx) error) error {
	if err := s.acquire(ctx); err != nil {
		return err
	}
	defer s.release()
	j := &writeOp{run: run, done: make(chan error, 1)}
	s.queue <- j
	return s.wrapError(<-j.done)
}

// write is the writer goroutine, which runs all writes.
func (s *Store) write() {
	defer close(s.writer)
	for first := range s.queue {
		batch := append(make([]*writeOp, 0, 1+len(s.queue)), first)
		for len(batch) < cap(batch) {
			batch = append(batch, <-s.queue) // does not block: this is the only receiver
		}
		s.commit(batch)
	}
}

// commit runs jobs in one transaction. If the transaction fails, the jobs run one by one, so that an error of one job does not
// affect the others.
func (s *Store) commit(batch []*writeOp) {
	results := make([]error, len(batch))
	err := s.transaction(func(t *writeTx) error {
		for i, j := range batch {
			if results[i] = j.run(t); t.err != nil {
				return t.err
			}
		}
		return nil
	})
	if err != nil && len(batch) > 1 {
		for _, j := range batch {
			s.commit([]*writeOp{j})
		}
		return
	}
	for i, j := range batch {
		if err != nil {
			results[i] = err
		}
		j.done <- results[i]
	}
}

var errNoChange = errors.New("no changes")

// transaction runs f and commits its changes.
func (s *Store) transaction(f func(*writeTx) error) error {
	if b := s.broken.Load(); b != nil {
		return b
	}
	id := 0
	err := recoverFault(new(bool), func() error {
		return s.db.db.Update(func(tx *bolt.Tx) error {
			id = tx.ID()
			t, err := newWriteTx(tx)
			if err == nil {
				err = f(t)
			}
			if err == nil {
				err = t.finish()
			}
			return err
		})
	})
	if err == nil || errors.Is(err, errNoChange) {
		return nil
	}
	if p := (*panicError)(nil); errors.As(err, &p) {
		return err
	}
	// bbolt writes the new root last and then syncs. If the sync failed, readers see data that may be lost after a crash, and a
	// second sync proves nothing.
	current := 0
	if viewErr := recoverFault(new(bool), func() error {
		return s.db.db.View(func(tx *bolt.Tx) error { current = tx.ID(); return nil })
	}); viewErr != nil || current >= id {
		return s.markBroken(fmt.Errorf("the disk failed to store a write: %w", err))
	}
	if errors.Is(err, ErrDamaged) {
		return err
	}
	return fmt.Errorf("writing the key store %s: no change was stored: %w", s.path, withHint(err))
}

// writeTx is a write transaction.
type writeTx struct {
	tx      *bolt.Tx
	self    state
	buckets [bucketCount]*bolt.Bucket
	changed bool
	err     error // a change failed, so the transaction must not be committed
}

func newWriteTx(tx *bolt.Tx) (*writeTx, error) {
	t := &writeTx{tx: tx}
	for i, name := range bucketNames {
		if t.buckets[i] = tx.Bucket(name); t.buckets[i] == nil {
			return nil, fmt.Errorf("%w: the bucket %s is missing", ErrDamaged, name)
		}
	}
	// Rows are appended to these buckets, so pages need no space for insertions.
	for _, i := range []int{bucketRecords, bucketRevisions, bucketAudit, bucketAuditByKey, bucketNotesByAge} {
		t.buckets[i].FillPercent = 0.9
	}
	body, err := t.get(bucketMeta, rowState)
	if err == nil {
		t.self, err = decodeState(body)
	}
	if err != nil {
		return nil, rowError(bucketMeta, rowState, err)
	}
	return t, nil
}

func (t *writeTx) finish() error {
	if !t.changed {
		return errNoChange
	}
	return t.buckets[bucketMeta].Put(rowState, addChecksum(rowState, t.self.body()))
}

// get returns the body of a row, or nil if the row does not exist. It is valid until the next change.
func (t *writeTx) get(bucket int, key []byte) ([]byte, error) {
	return bodyOf(t.buckets[bucket], bucket, key)
}

func bodyOf(b *bolt.Bucket, bucket int, key []byte) ([]byte, error) {
	value := b.Get(key)
	if value == nil {
		return nil, nil
	}
	body, err := verifyChecksum(key, value)
	if err != nil {
		return nil, rowError(bucket, key, err)
	}
	return body, nil
}

// put stores a row.
func (t *writeTx) put(bucket int, key, body []byte) {
	if t.err != nil {
		return
	}
	b := t.buckets[bucket]
	if b.Get(key) == nil {
		t.self.counts[bucket]++
	}
	t.changed = true
	t.err = b.Put(key, addChecksum(key, body))
}

// remove deletes a row if it exists.
func (t *writeTx) remove(bucket int, key []byte) {
	b := t.buckets[bucket]
	if t.err != nil || b.Get(key) == nil {
		return
	}
	key = bytes.Clone(key) // key may point into the page
	t.self.counts[bucket]--
	t.changed = true
	t.err = b.Delete(key)
}
