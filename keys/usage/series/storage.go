package series

import (
	"context"
	"time"

	"github.com/docsgate/docsgate/keys/countersync"
)

// Row is what was counted of a key in a minute.
type Row struct {
	Key    string // ID; AllKeys: of all keys
	Minute int64  // Unix minutes
	Counts Counts
}

// AllKeys is the key of the sums over all keys.
const AllKeys = ""

// Resolution is the length of buckets.
type Resolution uint8

// Resolutions. Storages store their values.
const (
	Minutes Resolution = iota
	Hours
	Days
	Resolutions // number of resolutions
)

// Length returns the length of a bucket.
func (r Resolution) Length() time.Duration {
	return [...]time.Duration{time.Minute, time.Hour, 24 * time.Hour}[r]
}

// Retention returns how long buckets are kept. It includes a margin for the bucket in which a range begins.
func (r Resolution) Retention() time.Duration {
	return [...]time.Duration{25 * time.Hour, 32 * 24 * time.Hour, 367 * 24 * time.Hour}[r]
}

// BucketOf returns the number of the bucket that contains a time.
func (r Resolution) BucketOf(t time.Time) int64 { return t.Unix() / int64(r.Length()/time.Second) }

// OfMinute returns the number of the bucket that contains a minute.
func (r Resolution) OfMinute(minute int64) int64 { return minute / int64(r.Length()/time.Minute) }

// Start returns the time at which a bucket starts, in UTC.
func (r Resolution) Start(bucket int64) time.Time {
	return time.Unix(bucket*int64(r.Length()/time.Second), 0).UTC()
}

// KeyTotal is the number of requests of a key.
type KeyTotal struct {
	Key   string
	Total uint64 // as in Counts.Total
}

// Storage durably stores buckets. It is safe for concurrent use.
type Storage interface {
	// Add adds rows to the buckets of all resolutions in one transaction, unless a batch of the same writer with the same or a higher
	// sequence was added before. It may contain several rows of a key and minute. After an error it is unknown whether they were added; then
	// the next batch of the writer must be the same one. Rows that are more than an hour ahead of the storage's clock count as now.
	Add(ctx context.Context, b countersync.Batch[Row]) error

	// Buckets calls yield for the buckets of a key, from the number first to last, in ascending order. An error of yield stops it and is
	// returned.
	Buckets(ctx context.Context, key string, r Resolution, first, last int64, yield func(bucket int64, c *Counts) error) error

	// Top returns at most limit keys, without AllKeys, with the most requests in the buckets from first to last, in descending order, and
	// by ID if they have the same number.
	Top(ctx context.Context, r Resolution, first, last int64, limit int) ([]KeyTotal, error)

	// Prune removes some buckets that are older than their retention, in one short transaction, and reports whether there may be more.
	Prune(ctx context.Context, now time.Time) (more bool, err error)

	// Close closes the storage.
	Close() error
}
