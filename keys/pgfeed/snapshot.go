package pgfeed

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

// hashBuckets is the number of buckets of rows, by the hash of their ids. After a change only a few of many agents are read again.
const hashBuckets = 1024

// lastSnapshot is the result of the last read.
type lastSnapshot struct {
	snapshot  string           // server snapshot of visible transactions; empty: unknown
	checksums map[int32]string // by bucket; nil: unknown
	ids       map[int32][]string
	full      time.Time // time of the last full read
	columns   []string  // that were read; checksums are only comparable with the same columns
}

// transaction runs read in a read-only transaction with a consistent snapshot.
func (f *Feed) transaction(ctx context.Context, c *conn, read func(pgx.Tx) error) error {
	tx, err := c.pg.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return fmt.Errorf("beginning the transaction: %w", err)
	}
	limit := "SET LOCAL statement_timeout = " + strconv.FormatInt(max(1, f.timeoutFor(ctx).Milliseconds()), 10)
	// JIT compilation takes longer than the queries.
	if _, err := tx.Exec(ctx, limit+"; SET LOCAL jit = off"); err != nil {
		return fmt.Errorf("setting the statement timeout: %w", err)
	}
	if err := read(tx); err != nil {
		_ = tx.Rollback(ctx) // nothing was written; a lost connection is detected at its next use
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("ending the transaction: %w", err)
	}
	return nil
}

func (f *Feed) timeoutFor(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return time.Until(deadline)
	}
	return f.options.Timeout
}

// readFull reads all agents and all checksums in one snapshot. at is a time at which they were current.
func (f *Feed) readFull(ctx context.Context, c *conn) (all []docsgptkeys.Agent, at time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, f.options.FullTimeout())
	defer cancel()
	now := lastSnapshot{ids: map[int32][]string{}}
	at = time.Now()
	err = f.transaction(ctx, c, func(tx pgx.Tx) error {
		t, err := discover(ctx, tx)
		if err != nil {
			return err
		}
		f.warnDenied(t)
		now.columns = t.columns
		if now.snapshot, now.checksums, err = f.bucketChecksums(ctx, tx, t); err != nil {
			return err
		}
		return f.rows(ctx, tx, t.agentsQuery(""), nil, func(bucket int32, a docsgptkeys.Agent) {
			now.ids[bucket] = append(now.ids[bucket], a.ID)
			all = append(all, a)
		})
	})
	if err != nil {
		return nil, at, err
	}
	now.full = time.Now()
	f.last = now
	return all, at, nil
}

// errSchemaChanged means that DocsGPT or the permissions of the role were upgraded, so all agents must be read.
var errSchemaChanged = errors.New("the columns of the table agents have changed")

// readChanged reads the agents that have changed since the last read and updates the cache. It reports whether there are
// pending changes. f.last must be known. If the error is errSchemaChanged, nothing was read.
func (f *Feed) readChanged(ctx context.Context, c *conn, cache *docsgptkeys.AgentCache) (pending bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, f.options.Timeout)
	defer cancel()
	at := time.Now()
	// If the same transactions are visible, nothing has changed. This query is cheap.
	var snapshot string
	if err := c.pg.QueryRow(ctx, snapshotSQL).Scan(&snapshot); err != nil {
		return false, fmt.Errorf("reading the server's snapshot: %w", err)
	}
	if snapshot != "" && snapshot == f.last.snapshot {
		return cache.Update(nil, nil, at), nil
	}
	var (
		put       []docsgptkeys.Agent
		ids       = map[int32][]string{}
		changed   []int32
		checksums map[int32]string
	)
	err = f.transaction(ctx, c, func(tx pgx.Tx) error {
		t, err := discover(ctx, tx)
		if err != nil {
			return err
		}
		if !slices.Equal(t.columns, f.last.columns) {
			return errSchemaChanged
		}
		if snapshot, checksums, err = f.bucketChecksums(ctx, tx, t); err != nil {
			return err
		}
		if changed = changedBuckets(f.last.checksums, checksums); len(changed) == 0 {
			return nil
		}
		return f.rows(ctx, tx, t.agentsQuery(inBuckets), []any{changed}, func(bucket int32, a docsgptkeys.Agent) {
			ids[bucket] = append(ids[bucket], a.ID)
			put = append(put, a)
		})
	})
	if err != nil {
		return false, err
	}
	var gone []string
	found := make(map[string]bool, len(put))
	for i := range put {
		found[put[i].ID] = true
	}
	for _, bucket := range changed {
		for _, id := range f.last.ids[bucket] {
			if !found[id] {
				gone = append(gone, id)
			}
		}
		if len(ids[bucket]) == 0 {
			delete(f.last.ids, bucket)
		} else {
			f.last.ids[bucket] = ids[bucket]
		}
	}
	f.last.snapshot, f.last.checksums = snapshot, checksums
	return cache.Update(put, gone, at), nil
}

// changedBuckets returns the buckets whose checksums differ, sorted.
func changedBuckets(a, b map[int32]string) []int32 {
	changed := map[int32]bool{}
	for bucket, checksum := range a {
		if b[bucket] != checksum {
			changed[bucket] = true
		}
	}
	for bucket, checksum := range b {
		if a[bucket] != checksum {
			changed[bucket] = true
		}
	}
	return slices.Sorted(maps.Keys(changed))
}

// bucketChecksums returns the server's snapshot and the checksums of all buckets in it.
func (f *Feed) bucketChecksums(ctx context.Context, tx pgx.Tx, t *table) (snapshot string, checksums map[int32]string, err error) {
	if err := tx.QueryRow(ctx, snapshotSQL).Scan(&snapshot); err != nil {
		return "", nil, fmt.Errorf("reading the server's snapshot: %w", err)
	}
	rows, err := tx.Query(ctx, t.checksumQuery(), f.seed)
	if err != nil {
		return "", nil, fmt.Errorf("reading the checksums: %w", err)
	}
	checksums = make(map[int32]string, hashBuckets)
	var (
		bucket   int32
		checksum string
	)
	if _, err := pgx.ForEachRow(rows, []any{&bucket, &checksum}, func() error { checksums[bucket] = checksum; return nil }); err != nil {
		return "", nil, fmt.Errorf("reading the checksums: %w", err)
	}
	return snapshot, checksums, nil
}

// rows runs a query for agents and calls yield for each one, with its bucket.
func (f *Feed) rows(ctx context.Context, tx pgx.Tx, sql string, args []any, yield func(int32, docsgptkeys.Agent)) error {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return fmt.Errorf("reading agents: %w", err)
	}
	var (
		bucket                        int32
		id, key, name, owner, status  string
		source                        *string
		extra                         []*string
		requests, tokens              *int64
		configKind, restrict, origins *string
	)
	into := []any{&bucket, &id, &key, &name, &owner, &status, &source, &extra, &requests, &tokens, &configKind, &restrict, &origins}
	_, err = pgx.ForEachRow(rows, into, func() error {
		a := docsgptkeys.Agent{ID: id, Key: keys.NewSecret(key), Name: name, AgentInfo: keys.AgentInfo{
			Owner: owner, Status: status, Sources: sources(source, extra),
			RequestsPerDay: number(requests), TokensPerDay: number(tokens),
		}}
		a.RestrictOrigins, a.Origins = allowedOrigins(text(configKind), text(restrict), text(origins))
		yield(bucket, a)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading agents: %w", err)
	}
	return nil
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func number(n *int64) int {
	if n == nil {
		return 0
	}
	return int(*n)
}

// sources joins the two columns like DocsGPT: the first source, then the others, without duplicates.
func sources(first *string, extra []*string) []string {
	all := make([]string, 0, 1+len(extra))
	for _, s := range slices.Concat([]*string{first}, extra) {
		all = append(all, text(s))
	}
	return docsgptkeys.Dedup(all)
}

// allowedOrigins returns the web origins that an agent is restricted to. Like in DocsGPT, malformed values keep the restriction, and
// malformed entries are ignored. The arguments are the JSON type of the column, and the JSON of its fields.
func allowedOrigins(kind, restrict, origins string) (only bool, list []string) {
	switch {
	case kind == "" || kind == "null":
		return false, nil
	case kind != "object":
		return true, nil
	case restrict == "" || restrict == "null" || restrict == "false":
		return false, nil
	}
	var entries []any
	if json.Unmarshal([]byte(origins), &entries) != nil {
		return true, nil
	}
	for _, e := range entries {
		if s, ok := e.(string); ok && s != "" {
			list = append(list, s)
		}
	}
	return true, list
}
