// Package boltseries stores the usage of keys over time in one bbolt file, apart from the key store: neither its size nor damage to it
// affects the keys. It implements series.Storage.
//
// The bucket "counts" has a row for each resolution, number of a bucket, and ID of a key, in this order. So the buckets of one time, which
// are written and removed together, are neighbors. The bucket "meta" has the format, the last batch, and the number of rows of each
// resolution.
package boltseries

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/docsgate/docsgate/keys/usage/series"
)

const (
	// lockTimeout is how long Open waits for another process to release the file.
	lockTimeout = time.Second

	// defaultMaxRows is the maximum number of buckets of one resolution, about 100 bytes each. Beyond it the oldest are removed early: with
	// 100,000 keys that are used all the time.
	defaultMaxRows = 2_000_000

	format = "1"
)

var (
	bucketMeta   = []byte("meta")
	bucketCounts = []byte("counts")

	rowFormat = []byte("format")
	rowBatch  = []byte("batch") // sequence of the last batch, and its writer
	rowRows   = []byte("rows")  // number of rows of each resolution
)

// Errors that are wrapped with more detail.
var (
	ErrLocked  = errors.New("another process has the file open")
	ErrDamaged = errors.New("the file is damaged, or not a file of usage; it can be removed, with the usage so far")
)

// Store is a series.Storage in a file.
type Store struct {
	db      *bolt.DB
	maxRows uint64
	broken  atomic.Bool // bbolt may hold its locks forever
}

var _ series.Storage = (*Store)(nil)

// Open opens a file. If it does not exist, Open creates it with mode 0600, and its folder with mode 0700.
func Open(path string) (*Store, error) {
	s, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("the file of usage %s: %w", path, err)
	}
	return s, nil
}

func open(path string) (*Store, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	s := &Store{maxRows: defaultMaxRows}
	err := s.guard(func() (err error) {
		s.db, err = bolt.Open(path, 0o600, &bolt.Options{Timeout: lockTimeout, FreelistType: bolt.FreelistMapType, NoStatistics: true})
		if err == nil {
			s.db.AllocSize = 1 << 20
			err = s.db.Update(initialize)
		}
		return err
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		err = ErrLocked
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrVersionMismatch):
		err = fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil && s.db != nil && !s.broken.Load() {
		err = errors.Join(err, s.db.Close())
	}
	return s, err
}

// initialize creates the buckets of a new file, and checks the format of another one.
func initialize(tx *bolt.Tx) error {
	meta, err := tx.CreateBucketIfNotExists(bucketMeta)
	if err != nil {
		return err
	}
	if _, err := tx.CreateBucketIfNotExists(bucketCounts); err != nil {
		return err
	}
	switch got := meta.Get(rowFormat); {
	case got == nil:
		return meta.Put(rowFormat, []byte(format))
	case string(got) != format:
		return fmt.Errorf("the file has format %.20q, which this version of docsgate does not know", got)
	}
	return nil
}

// guard converts a panic of bbolt, or an access to unmapped memory, into an error: a damaged page can cause either. The store rejects all
// calls from then on.
func (s *Store) guard(f func() error) (err error) {
	if s.broken.Load() {
		return ErrDamaged
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			s.broken.Store(true)
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	return f()
}

// Close implements series.Storage.
func (s *Store) Close() error {
	if s.broken.Load() {
		return nil
	}
	return s.db.Close()
}

// view runs a read transaction.
func (s *Store) view(ctx context.Context, f func(counts *bolt.Bucket) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.guard(func() error {
		return s.db.View(func(tx *bolt.Tx) error { return f(tx.Bucket(bucketCounts)) })
	})
}
