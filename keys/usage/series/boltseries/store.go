package boltseries

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/docsgate/docsgate/keys/countersync"
	"github.com/docsgate/docsgate/keys/recordcodec"
	"github.com/docsgate/docsgate/keys/usage/series"
)

// pruneRows is the maximum number of rows that one call of Prune removes.
const pruneRows = 10_000

// keySize is the size of a row's key without the ID.
const keySize = 1 + 4

// rowKey returns the key of a row. Numbers of buckets fit in 32 bits until the year 10000.
func rowKey(r series.Resolution, bucket int64, id string) []byte {
	key := make([]byte, keySize, keySize+len(id))
	key[0] = byte(r)
	binary.BigEndian.PutUint32(key[1:], uint32(max(0, min(bucket, math.MaxUint32))))
	return append(key, id...)
}

func bucketOf(key []byte) int64 { return int64(binary.BigEndian.Uint32(key[1:])) }

// rowCounts are the numbers of rows of the resolutions.
type rowCounts [series.Resolutions]uint64

func readRows(meta *bolt.Bucket) (n rowCounts) {
	if b := meta.Get(rowRows); len(b) == 8*len(n) {
		for i := range n {
			n[i] = binary.BigEndian.Uint64(b[8*i:])
		}
	}
	return n
}

func (n *rowCounts) write(meta *bolt.Bucket) error {
	var b []byte
	for _, rows := range n {
		b = binary.BigEndian.AppendUint64(b, rows)
	}
	return meta.Put(rowRows, b)
}

// Add implements series.Storage.
func (s *Store) Add(ctx context.Context, b countersync.Batch[series.Row]) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if b.Writer == "" || b.Seq == 0 {
		return errors.New("a batch requires a writer and a sequence number")
	}
	latest := time.Now().Unix()/60 + 60
	return s.guard(func() error {
		return s.db.Update(func(tx *bolt.Tx) error {
			meta, counts := tx.Bucket(bucketMeta), tx.Bucket(bucketCounts)
			if last := meta.Get(rowBatch); len(last) >= 8 && string(last[8:]) == b.Writer && binary.BigEndian.Uint64(last) >= b.Seq {
				return nil
			}
			rows := readRows(meta)
			for i := range b.Deltas {
				delta := &b.Deltas[i]
				minute := delta.Minute
				if minute > latest {
					minute = latest - 60
				}
				for r := range series.Resolutions {
					added, err := addCounts(counts, rowKey(r, r.OfMinute(minute), delta.Key), &delta.Counts)
					if err != nil {
						return err
					}
					if added {
						rows[r]++
					}
				}
			}
			return errors.Join(rows.write(meta), meta.Put(rowBatch, append(binary.BigEndian.AppendUint64(nil, b.Seq), b.Writer...)))
		})
	})
}

// addCounts adds counts to a row, and reports whether the row is new.
func addCounts(counts *bolt.Bucket, key []byte, delta *series.Counts) (added bool, err error) {
	body := counts.Get(key)
	sum, err := recordcodec.DecodeCounts(body)
	if err != nil {
		return false, damaged(key, err)
	}
	sum.Add(delta)
	return body == nil, counts.Put(key, recordcodec.AppendCounts(nil, &sum))
}

func damaged(key []byte, err error) error { return fmt.Errorf("%w: row %x: %w", ErrDamaged, key, err) }

// Buckets implements series.Storage.
func (s *Store) Buckets(ctx context.Context, id string, r series.Resolution, first, last int64, yield func(int64, *series.Counts) error) error {
	return s.view(ctx, func(counts *bolt.Bucket) error {
		for bucket := max(first, 0); bucket <= last; bucket++ {
			key := rowKey(r, bucket, id)
			body := counts.Get(key)
			if body == nil {
				continue
			}
			c, err := recordcodec.DecodeCounts(body)
			if err != nil {
				return damaged(key, err)
			}
			if err := yield(bucket, &c); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
}

// Top implements series.Storage.
func (s *Store) Top(ctx context.Context, r series.Resolution, first, last int64, limit int) ([]series.KeyTotal, error) {
	totals := map[string]uint64{}
	err := s.view(ctx, func(counts *bolt.Bucket) error {
		c := counts.Cursor()
		from, n := rowKey(r, first, ""), 0
		for key, body := c.Seek(from); key != nil && key[0] == byte(r) && bucketOf(key) <= last; key, body = c.Next() {
			if n++; n%10_000 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			if len(key) == keySize { // the sum over all keys
				continue
			}
			sum, err := recordcodec.DecodeCounts(body)
			if err != nil {
				return damaged(key, err)
			}
			totals[string(key[keySize:])] += sum.Total()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	list := make([]series.KeyTotal, 0, len(totals))
	for id, total := range totals {
		list = append(list, series.KeyTotal{Key: id, Total: total})
	}
	slices.SortFunc(list, func(a, b series.KeyTotal) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Key, b.Key))
	})
	return slices.Clip(list[:min(len(list), limit)]), nil
}

// Prune implements series.Storage. If there are too many buckets of a resolution, it also removes the oldest of these.
func (s *Store) Prune(ctx context.Context, now time.Time) (more bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	err = s.guard(func() error {
		return s.db.Update(func(tx *bolt.Tx) error {
			meta, counts := tx.Bucket(bucketMeta), tx.Bucket(bucketCounts)
			rows, left := readRows(meta), pruneRows
			for r := range series.Resolutions {
				n, err := s.pruneResolution(counts, r, now, rows[r], left)
				if err != nil {
					return err
				}
				rows[r] -= min(rows[r], uint64(n))
				left -= n
			}
			more = left == 0
			if left == pruneRows {
				return nil
			}
			return rows.write(meta)
		})
	})
	return more, err
}

// pruneResolution removes at most limit of the rows of a resolution, and returns their number.
func (s *Store) pruneResolution(counts *bolt.Bucket, r series.Resolution, now time.Time, rows uint64, limit int) (removed int, err error) {
	oldest := r.BucketOf(now.Add(-r.Retention()))
	excess := rows - min(rows, s.maxRows)
	var keys [][]byte
	c := counts.Cursor()
	for key, _ := c.Seek([]byte{byte(r)}); key != nil && key[0] == byte(r) && len(keys) < limit; key, _ = c.Next() {
		if bucketOf(key) >= oldest && uint64(len(keys)) >= excess {
			break
		}
		keys = append(keys, bytes.Clone(key))
	}
	for _, key := range keys { // a cursor would skip rows while it removes some
		if err := counts.Delete(key); err != nil {
			return 0, err
		}
	}
	return len(keys), nil
}
