package pgstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/docsgate/docsgate/keys/countersync"
	"github.com/docsgate/docsgate/keys/recordcodec"
	"github.com/docsgate/docsgate/keys/usage/series"
)

// seriesTable is the table of the usage of keys over time.
const seriesTable = "usage_series"

// pruneSeriesRows is the maximum number of rows of a resolution that one call of Prune removes.
const pruneSeriesRows = 10_000

// Series is the usage of keys over time, with the sums over all gates.
type Series struct{ store *Store }

var _ series.Storage = Series{}

// Series returns the usage of keys over time. Closing it has no effect on the store.
func (s *Store) Series() Series { return Series{s} }

// Close implements series.Storage.
func (Series) Close() error { return nil }

// seriesKey identifies a bucket of a key.
type seriesKey struct {
	id         string
	resolution series.Resolution
	bucket     int64
}

// Add implements series.Storage.
func (s Series) Add(ctx context.Context, b countersync.Batch[series.Row]) error {
	return s.store.change(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if err := limitIdle(ctx, tx, writeTimeout/6); err != nil {
			return err
		}
		var now time.Time
		if err := tx.QueryRow(ctx, "SELECT clock_timestamp() FROM usage_series_lock FOR UPDATE").Scan(&now); err != nil {
			return err
		}
		added, err := (&countersTx{Tx: tx}).addedBefore(ctx, seriesTable, b.Writer, b.Seq)
		if added || err != nil {
			return err
		}
		sums := sumSeries(b.Deltas, now.Unix()/60)
		if err := addStored(ctx, tx, sums); err != nil {
			return err
		}
		return putSeries(ctx, tx, sums)
	})
}

// sumSeries returns what rows add to buckets. minute is that of the database.
func sumSeries(rows []series.Row, minute int64) map[seriesKey]*series.Counts {
	sums := make(map[seriesKey]*series.Counts, len(rows)*int(series.Resolutions))
	for i := range rows {
		at := rows[i].Minute
		if at > minute+60 { // of a wrong clock
			at = minute
		}
		for r := range series.Resolutions {
			key := seriesKey{rows[i].Key, r, r.OfMinute(at)}
			if sums[key] == nil {
				sums[key] = new(series.Counts)
			}
			sums[key].Add(&rows[i].Counts)
		}
	}
	return sums
}

// seriesColumns are the columns of the primary key of rows.
type seriesColumns struct {
	ids         []string
	resolutions []int16
	buckets     []int64
}

func (c *seriesColumns) add(key seriesKey) {
	c.ids, c.resolutions, c.buckets = append(c.ids, key.id), append(c.resolutions, int16(key.resolution)), append(c.buckets, key.bucket)
}

// addStored adds the stored counts of the same buckets.
func addStored(ctx context.Context, tx pgx.Tx, sums map[seriesKey]*series.Counts) error {
	var c seriesColumns
	for key := range sums {
		c.add(key)
	}
	rows, err := tx.Query(ctx, `SELECT id, resolution, bucket, body FROM usage_series
		JOIN unnest($1::text[], $2::smallint[], $3::integer[]) AS wanted (id, resolution, bucket) USING (id, resolution, bucket)`,
		c.ids, c.resolutions, c.buckets)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var (
			key  seriesKey
			body pgtype.DriverBytes
		)
		if err := rows.Scan(&key.id, &key.resolution, &key.bucket, &body); err != nil {
			return err
		}
		stored, err := recordcodec.DecodeCounts(body)
		if err != nil {
			return rowError(seriesTable, key.id, err)
		}
		sums[key].Add(&stored)
	}
	return rows.Err()
}

// putSeries stores the counts of buckets.
func putSeries(ctx context.Context, tx pgx.Tx, sums map[seriesKey]*series.Counts) error {
	var (
		c        seriesColumns
		requests []int64
		bodies   [][]byte
	)
	for key, counts := range sums {
		c.add(key)
		requests, bodies = append(requests, int64(counts.Total())), append(bodies, recordcodec.AppendCounts(nil, counts))
	}
	_, err := tx.Exec(ctx, `INSERT INTO usage_series (id, resolution, bucket, requests, body)
		SELECT * FROM unnest($1::text[], $2::smallint[], $3::integer[], $4::bigint[], $5::bytea[])
		ON CONFLICT (id, resolution, bucket) DO UPDATE SET requests = excluded.requests, body = excluded.body`,
		c.ids, c.resolutions, c.buckets, requests, bodies)
	return err
}

// Buckets implements series.Storage.
func (s Series) Buckets(ctx context.Context, id string, r series.Resolution, first, last int64, yield func(int64, *series.Counts) error) error {
	return s.store.view(ctx, scanTimeout, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, "SELECT bucket, body FROM usage_series WHERE id = $1 AND resolution = $2 AND bucket BETWEEN $3 AND $4 ORDER BY bucket",
			id, int16(r), first, last)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var (
				bucket int64
				body   pgtype.DriverBytes
			)
			if err := rows.Scan(&bucket, &body); err != nil {
				return err
			}
			c, err := recordcodec.DecodeCounts(body)
			if err != nil {
				return rowError(seriesTable, id, err)
			}
			if err := yield(bucket, &c); err != nil {
				return &callbackError{err}
			}
		}
		return rows.Err()
	})
}

// Top implements series.Storage.
func (s Series) Top(ctx context.Context, r series.Resolution, first, last int64, limit int) (top []series.KeyTotal, err error) {
	err = s.store.view(ctx, scanTimeout, func(ctx context.Context, tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `SELECT id, sum(requests)::bigint AS total FROM usage_series
			WHERE resolution = $1 AND bucket BETWEEN $2 AND $3 AND id <> '' GROUP BY id ORDER BY total DESC, id LIMIT $4`,
			int16(r), first, last, limit)
		if err != nil {
			return err
		}
		top, err = pgx.CollectRows(rows, pgx.RowToStructByPos[series.KeyTotal])
		return err
	})
	return top, err
}

// Prune implements series.Storage.
func (s Series) Prune(ctx context.Context, now time.Time) (more bool, err error) {
	err = s.store.change(ctx, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "DELETE FROM counter_writers WHERE table_name = $1 AND at < now() - $2 * interval '1 second'",
			seriesTable, int64(writerTTL/time.Second)); err != nil {
			return err
		}
		for r := range series.Resolutions {
			tag, err := tx.Exec(ctx, `DELETE FROM usage_series WHERE ctid = ANY(ARRAY(
				SELECT ctid FROM usage_series WHERE resolution = $1 AND bucket < $2 ORDER BY bucket LIMIT $3 FOR UPDATE SKIP LOCKED))`,
				int16(r), r.BucketOf(now.Add(-r.Retention())), pruneSeriesRows)
			if err != nil {
				return err
			}
			more = more || tag.RowsAffected() == pruneSeriesRows
		}
		return nil
	})
	return more, err
}
