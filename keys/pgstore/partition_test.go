package pgstore_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/countersync"
	"github.com/docsgate/docsgate/keys/pgstore"
	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/keys/registry"
)

// A gate whose network fails while it holds the lock of all writes does not keep other gates from writing for long.
func TestPartitionedWriter(t *testing.T) {
	addCounts := func(s *pgstore.Store, n int) error {
		return s.SharedQuotas().Add(context.Background(), countersync.Batch[quota.Row]{
			Writer: fmt.Sprint(n), Seq: 1, Deltas: []quota.Row{{ID: "k", Day: calendarDay(), QuestionsDay: 1}},
		})
	}
	writeKey := func(s *pgstore.Store, n int) error {
		return s.Write(context.Background(), []*registry.Record{record(fmt.Sprint("key_", n))}, nil)
	}
	for name, c := range map[string]struct {
		table string // whose row is the lock
		write func(s *pgstore.Store, n int) error
	}{
		"counts": {"counters", addCounts},
		"keys":   {"state", writeKey},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			database := pgtest.Database(t)
			other := open(t, options(database))
			proxy := feedtest.NewProxy(t, pgtest.Host())
			uri := strings.Replace(pgtest.URI("postgres", database), pgtest.Host(), proxy.Addr(), 1)
			cut := open(t, pgstore.Options{URI: keys.NewSecret(uri)})
			for n, s := range []*pgstore.Store{other, cut} {
				if err := c.write(s, n); err != nil {
					t.Fatal(err)
				}
			}
			// This test has the lock until the gate waits for it and its network has failed. Then the gate has it, and does not know.
			conn, err := pgx.Connect(t.Context(), pgtest.URI("postgres", database)+"&search_path=docsgate")
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(context.Background())
			tx, err := conn.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.Exec(t.Context(), "SELECT * FROM "+c.table+" FOR UPDATE"); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- c.write(cut, 2) }()
			sessions := func(condition string) (n int) {
				row := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid() AND "+condition, database)
				if err := row.Scan(&n); err != nil {
					t.Fatal(err)
				}
				return n
			}
			feedtest.Eventually(t, "the gate waits for the lock", func() bool { return sessions("wait_event_type = 'Lock'") > 0 })
			proxy.Blackhole()
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			feedtest.Eventually(t, "the gate has the lock", func() bool { return sessions("state = 'idle in transaction'") > 0 })
			if err := c.write(other, 3); err != nil {
				t.Errorf("another gate: %v", err)
			}
			proxy.Accept()
			if err := <-ended; err == nil {
				t.Error("the gate without a network has no error")
			}
		})
	}
}
