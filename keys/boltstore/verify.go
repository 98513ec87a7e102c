package boltstore

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
)

// verifyFile reads the whole file and returns an error if it cannot be used. It does not modify the file.
func verifyFile(ctx context.Context, file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	m, err := openImage(file, info.Size())
	if err != nil {
		return err
	}
	// The walk reads in random order. One sequential read first brings the file into the page cache at the speed of the disk.
	if _, err := io.CopyBuffer(discard{}, ctxReader{ctx, io.NewSectionReader(file, 0, info.Size())}, make([]byte, 1<<20)); err != nil {
		return fmt.Errorf("reading the file: %w", err)
	}
	buckets := make(map[string][]byte)
	if err := m.walk(m.root, 0, func(r row) error {
		if !r.bucket {
			return fmt.Errorf("%w: the file has rows outside of buckets", ErrDamaged)
		}
		buckets[string(r.key)] = bytes.Clone(r.value)
		return nil
	}); err != nil {
		return err
	}
	self, minor, err := m.inspectMeta(buckets[string(bucketNames[bucketMeta])])
	if err != nil {
		return err
	}
	for i, name := range bucketNames {
		if i == bucketMeta {
			continue
		}
		value := buckets[string(name)]
		if value == nil && bucketSince[i] > minor {
			continue // upgrade adds it
		}
		if value == nil {
			return fmt.Errorf("%w: the bucket %s is missing", ErrDamaged, name)
		}
		rows := uint64(0)
		if err := m.walkBucket(value, func(r row) error {
			if rows++; rows%10_000 == 0 && ctx.Err() != nil {
				return ctx.Err()
			}
			return checkRow(i, r)
		}); err != nil {
			return fmt.Errorf("bucket %s: %w", name, err)
		}
		if want := self.counts[i]; rows != want {
			return fmt.Errorf("%w: the bucket %s has %d rows, but must have %d", ErrDamaged, name, rows, want)
		}
		delete(buckets, string(name))
	}
	delete(buckets, string(bucketNames[bucketMeta]))
	for name, value := range buckets { // buckets of a newer minor version: only their pages are verified
		if err := m.walkBucket(value, func(row) error { return nil }); err != nil {
			return fmt.Errorf("bucket %q: %w", name, err)
		}
	}
	return m.checkFreelist()
}

// inspectMeta verifies the bucket meta first, since all other checks depend on the format. A store of any major version has a
// bucket with this name, with the row format in it.
func (m *dbFile) inspectMeta(bucket []byte) (self state, minor uint64, err error) {
	if bucket == nil {
		return self, 0, fmt.Errorf("%w: the file is a bbolt file of another program", ErrDamaged)
	}
	var (
		rows   = make(map[string][]byte)
		format = string(rowFormat)
	)
	if err := m.walkBucket(bucket, func(r row) error {
		rows[string(r.key)] = bytes.Clone(r.value)
		if err := checkRow(bucketMeta, r); err != nil && string(r.key) == format {
			return err
		}
		return nil
	}); err != nil {
		return self, 0, err
	}
	body, err := verifyChecksum(rowFormat, rows[format])
	if err != nil {
		return self, 0, fmt.Errorf("%w: the format version is unreadable", ErrDamaged)
	}
	major, minor, err := decodeFormat(body)
	if err != nil {
		return self, 0, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if major != formatMajor {
		return self, 0, fmt.Errorf("%w: the file has format %d.%d, but this version of docsgate supports %d.%d", ErrNewer, major, minor, formatMajor, formatMinor)
	}
	for key, value := range rows {
		if _, err := verifyChecksum([]byte(key), value); err != nil {
			return self, 0, rowError(bucketMeta, []byte(key), err)
		}
	}
	if body, err = verifyChecksum(rowState, rows[string(rowState)]); err == nil {
		self, err = decodeState(body)
	}
	if err != nil {
		return self, 0, rowError(bucketMeta, rowState, err)
	}
	return self, minor, nil
}

func checkRow(bucket int, r row) error {
	if r.bucket {
		return fmt.Errorf("%w: a bucket contains another bucket", ErrDamaged)
	}
	if _, err := verifyChecksum(r.key, r.value); err != nil {
		return rowError(bucket, r.key, err)
	}
	return nil
}

// rowError returns an error that identifies a row in terms that users know. It does not contain digests or names of idempotency
// records.
func rowError(bucket int, key []byte, err error) error {
	switch bucket {
	case bucketRecords:
		return fmt.Errorf("%w: the record of key %q: %w", ErrDamaged, key, err)
	case bucketUse:
		return fmt.Errorf("%w: the usage of key %q: %w", ErrDamaged, key, err)
	case bucketQuotas:
		return fmt.Errorf("%w: the quota of key %q: %w", ErrDamaged, key, err)
	case bucketOverrides:
		return fmt.Errorf("%w: what is stored for key %q of another feed: %w", ErrDamaged, key, err)
	case bucketAudit, bucketRevisions:
		return fmt.Errorf("%w: row %x of %s: %w", ErrDamaged, key, bucketNames[bucket], err)
	default:
		return fmt.Errorf("%w: a row of %s: %w", ErrDamaged, bucketNames[bucket], err)
	}
}

// ctxReader is a reader that stops when its context ends.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (w ctxReader) Read(b []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.r.Read(b)
}

// discard is io.Discard without ReadFrom, which uses a small buffer.
type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
