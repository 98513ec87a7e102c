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

// hashBuckets is into how many groups the rows are put by their ids: of many agents few are read again for a change of one.
const hashBuckets = 1024

// lastSnapshot is what the last reading has seen.
type lastSnapshot struct {
	snapshot  string           // of the server: which transactions were visible; empty: unknown
	checksums map[int32]string // by group; nil: unknown
	ids       map[int32][]string
	full      time.Time // when all rows were read last
	columns   []string  // that were read; with others the marks of the rows say nothing
}

// transaction runs read in a transaction that sees the database at one moment and cannot change it.
func (f *Feed) transaction(ctx context.Context, l *conn, read func(pgx.Tx) error) error {
	tx, err := l.pg.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return fmt.Errorf("beginning to read: %w", err)
	}
	limit := "SET LOCAL statement_timeout = " + strconv.FormatInt(max(1, f.timeoutFor(ctx).Milliseconds()), 10)
	// Compiling the queries takes longer than running them.
	if _, err := tx.Exec(ctx, limit+"; SET LOCAL jit = off"); err != nil {
		return fmt.Errorf("setting a time limit: %w", err)
	}
	if err := read(tx); err != nil {
		_ = tx.Rollback(ctx) // nothing was written; a connection that is lost shows at its next use
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("ending to read: %w", err)
	}
	return nil
}

func (f *Feed) timeoutFor(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return time.Until(deadline)
	}
	return f.options.Timeout
}

// readFull reads all agents and all marks, at one moment of the database. The time is one at which that was the newest.
func (f *Feed) readFull(ctx context.Context, l *conn) (all []docsgptkeys.Agent, at time.Time, err error) {
	ctx, cancel := context.WithTimeout(ctx, fullTimeouts*f.options.Timeout)
	defer cancel()
	now := lastSnapshot{ids: map[int32][]string{}}
	at = time.Now()
	err = f.transaction(ctx, l, func(tx pgx.Tx) error {
		t, err := discover(ctx, tx)
		if err != nil {
			return err
		}
		f.warnDenied(t)
		now.columns = t.columns
		if now.snapshot, now.checksums, err = f.bucketChecksums(ctx, tx, t); err != nil {
			return err
		}
		return f.rows(ctx, tx, t.agentsQuery(""), nil, func(group int32, a docsgptkeys.Agent) {
			now.ids[group] = append(now.ids[group], a.ID)
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

// errSchemaChanged says that DocsGPT or the rights of the role were upgraded, so that all has to be read.
var errSchemaChanged = errors.New("the table agents has other columns than before")

// readChanged reads what has changed since the last reading and tells the memory. It tells whether there is something to
// give out. seen must be known. With errSchemaChanged nothing was read.
func (f *Feed) readChanged(ctx context.Context, l *conn) (pending bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, f.options.Timeout)
	defer cancel()
	at := time.Now()
	// As long as the same transactions are visible nothing can have changed, and that costs the server nothing to tell.
	var snapshot string
	if err := l.pg.QueryRow(ctx, snapshotSQL).Scan(&snapshot); err != nil {
		return false, fmt.Errorf("asking for the server's snapshot: %w", err)
	}
	if snapshot != "" && snapshot == f.last.snapshot {
		return f.cache.Update(nil, nil, at), nil
	}
	var (
		put   []docsgptkeys.Agent
		ids   = map[int32][]string{}
		moved []int32
		marks map[int32]string
	)
	err = f.transaction(ctx, l, func(tx pgx.Tx) error {
		t, err := discover(ctx, tx)
		if err != nil {
			return err
		}
		if !slices.Equal(t.columns, f.last.columns) {
			return errSchemaChanged
		}
		if snapshot, marks, err = f.bucketChecksums(ctx, tx, t); err != nil {
			return err
		}
		if moved = changedBuckets(f.last.checksums, marks); len(moved) == 0 {
			return nil
		}
		return f.rows(ctx, tx, t.agentsQuery(inBuckets), []any{moved}, func(group int32, a docsgptkeys.Agent) {
			ids[group] = append(ids[group], a.ID)
			put = append(put, a)
		})
	})
	if err != nil {
		return false, err
	}
	var gone []string
	there := make(map[string]bool, len(put))
	for i := range put {
		there[put[i].ID] = true
	}
	for _, group := range moved {
		for _, id := range f.last.ids[group] {
			if !there[id] {
				gone = append(gone, id)
			}
		}
		if len(ids[group]) == 0 {
			delete(f.last.ids, group)
		} else {
			f.last.ids[group] = ids[group]
		}
	}
	f.last.snapshot, f.last.checksums = snapshot, marks
	return f.cache.Update(put, gone, at), nil
}

// changedBuckets returns the groups whose marks are not the same.
func changedBuckets(a, b map[int32]string) []int32 {
	moved := map[int32]bool{}
	for group, mark := range a {
		if b[group] != mark {
			moved[group] = true
		}
	}
	for group, mark := range b {
		if a[group] != mark {
			moved[group] = true
		}
	}
	return slices.Sorted(maps.Keys(moved))
}

// bucketChecksums returns the server's snapshot and the marks of all groups in it.
func (f *Feed) bucketChecksums(ctx context.Context, tx pgx.Tx, t *table) (snapshot string, marks map[int32]string, err error) {
	if err := tx.QueryRow(ctx, snapshotSQL).Scan(&snapshot); err != nil {
		return "", nil, fmt.Errorf("asking for the server's snapshot: %w", err)
	}
	rows, err := tx.Query(ctx, t.checksumQuery(), f.seed)
	if err != nil {
		return "", nil, fmt.Errorf("asking for marks: %w", err)
	}
	marks = make(map[int32]string, hashBuckets)
	var (
		group int32
		mark  string
	)
	if _, err := pgx.ForEachRow(rows, []any{&group, &mark}, func() error { marks[group] = mark; return nil }); err != nil {
		return "", nil, fmt.Errorf("asking for marks: %w", err)
	}
	return snapshot, marks, nil
}

// rows reads agents.
func (f *Feed) rows(ctx context.Context, tx pgx.Tx, sql string, args []any, yield func(int32, docsgptkeys.Agent)) error {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return fmt.Errorf("reading agents: %w", err)
	}
	var (
		group                         int32
		id, key, name, owner, status  string
		source                        *string
		extra                         []*string
		requests, tokens              *int64
		configKind, restrict, origins *string
	)
	into := []any{&group, &id, &key, &name, &owner, &status, &source, &extra, &requests, &tokens, &configKind, &restrict, &origins}
	_, err = pgx.ForEachRow(rows, into, func() error {
		a := docsgptkeys.Agent{ID: id, Key: keys.NewSecret(key), Name: name, AgentInfo: keys.AgentInfo{
			Owner: owner, Status: status, Sources: sources(source, extra),
			RequestsPerDay: number(requests), TokensPerDay: number(tokens),
		}}
		a.RestrictOrigins, a.Origins = allowedOrigins(text(configKind), text(restrict), text(origins))
		yield(group, a)
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

// sources joins the two columns in the way DocsGPT does: the first one, then the others, each once.
func sources(first *string, extra []*string) []string {
	all := make([]string, 0, 1+len(extra))
	for _, s := range slices.Concat([]*string{first}, extra) {
		all = append(all, text(s))
	}
	return docsgptkeys.Dedup(all)
}

// allowedOrigins reads the web origins that an agent is tied to, in DocsGPT's lenient but safe way: what is broken keeps the
// restriction on, and bad entries do not count. The texts are the kind of the column's value and the JSON of its members.
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
