package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/docsgate/docsgate/keys/recordcodec"
	"github.com/docsgate/docsgate/keys/registry"
)

// All implements registry.Storage. Each record is newly allocated, so yield may retain it.
func (s *Store) All(ctx context.Context, yield func(*registry.Record) error) (revision uint64, err error) {
	err = s.view(ctx, func(t *readTx) error {
		self, err := t.state()
		if err != nil {
			return err
		}
		revision = self.revision
		var d recordcodec.Decoder
		return t.each(ctx, bucketRecords, nil, func(id, body []byte) error {
			r, _, err := d.Record(id, body)
			if err != nil {
				return rowError(bucketRecords, id, err)
			}
			return t.callBack(func() error { return yield(r) })
		})
	})
	return revision, err
}

// Changes implements registry.Storage. The records are in the order of their last writes.
func (s *Store) Changes(ctx context.Context, after uint64, yield func(*registry.Record) error) (revision uint64, err error) {
	err = s.view(ctx, func(t *readTx) error {
		self, err := t.state()
		if err != nil {
			return err
		}
		if revision = self.revision; after >= revision {
			return nil
		}
		return t.each(ctx, bucketRevisions, number(after+1), func(key, id []byte) error {
			r, err := t.record(id)
			if err != nil {
				return err
			}
			if len(key) != 8 || binary.BigEndian.Uint64(key) != r.Revision {
				return rowError(bucketRevisions, key, fmt.Errorf("the record of key %q has revision %d", id, r.Revision))
			}
			return t.callBack(func() error { return yield(r) })
		})
	})
	return revision, err
}

// Count implements registry.SizedStorage.
func (s *Store) Count(ctx context.Context) (n int, err error) {
	err = s.view(ctx, func(t *readTx) error {
		self, err := t.state()
		n = int(self.counts[bucketRecords])
		return err
	})
	return n, err
}

var _ registry.SizedStorage = (*Store)(nil)

func (t *readTx) state() (state, error) {
	body, err := bodyOf(t.tx.Bucket(bucketNames[bucketMeta]), bucketMeta, rowState)
	if err != nil {
		return state{}, err
	}
	return decodeState(body)
}

// each calls f for the rows of a bucket, starting at a key; nil means the first row.
func (t *readTx) each(ctx context.Context, bucket int, from []byte, f func(key, body []byte) error) error {
	c := t.tx.Bucket(bucketNames[bucket]).Cursor()
	n := 0
	for key, value := c.Seek(from); key != nil; key, value = c.Next() {
		if n++; n%1000 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		body, err := verifyChecksum(key, value)
		if err != nil {
			return rowError(bucket, key, err)
		}
		if err := f(key, body); err != nil {
			return err
		}
	}
	return nil
}

// Audit implements registry.Storage.
func (s *Store) Audit(ctx context.Context, key string, before uint64, limit int) (entries []registry.AuditEntry, err error) {
	if err := checkID(key); err != nil {
		return nil, err
	}
	if before == 0 {
		before = 1<<64 - 1
	}
	bucket, prefix := bucketAudit, []byte(nil)
	if key != "" {
		bucket, prefix = bucketAuditByKey, append([]byte(key), 0)
	}
	err = s.view(ctx, func(t *readTx) error {
		audit := t.tx.Bucket(bucketNames[bucketAudit])
		c := t.tx.Bucket(bucketNames[bucket]).Cursor()
		// Seek finds the row itself, or the next one, or none if it is beyond the last one. In each case the previous row is
		// wanted.
		step := c.Prev
		if at, _ := c.Seek(binary.BigEndian.AppendUint64(bytes.Clone(prefix), before)); at == nil {
			step = c.Last
		}
		for at, value := step(); len(entries) < limit && len(at) == len(prefix)+8 && bytes.HasPrefix(at, prefix); at, value = c.Prev() {
			number := at[len(prefix):]
			if _, err := verifyChecksum(at, value); err != nil {
				return rowError(bucket, at, err)
			}
			body, err := bodyOf(audit, bucketAudit, number)
			if err != nil {
				return err
			}
			e, err := recordcodec.DecodeEntry(binary.BigEndian.Uint64(number), body)
			if err != nil {
				return rowError(bucketAudit, number, err)
			}
			entries = append(entries, e)
		}
		return nil
	})
	return entries, err
}

// Backup implements registry.Storage: it writes a file that Open accepts. Concurrent writes are possible; the file grows a
// little more than usual, since the pages of the backup's snapshot cannot be reused.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	return s.view(ctx, func(t *readTx) error {
		to := &backupWriter{ctx: ctx, t: t, w: w}
		_, err := t.tx.WriteTo(to)
		return err
	})
}

// backupWriter is a writer that passes a backup to the caller's writer.
type backupWriter struct {
	ctx context.Context
	t   *readTx
	w   io.Writer
}

func (h *backupWriter) Write(b []byte) (n int, err error) {
	if err := h.ctx.Err(); err != nil {
		return 0, err
	}
	err = h.t.callBack(func() error {
		n, err = h.w.Write(b)
		return err
	})
	return n, err
}
