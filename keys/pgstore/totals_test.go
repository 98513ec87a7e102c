package pgstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/boltstore"
	"github.com/docsgate/docsgate/keys/countersync"
	"github.com/docsgate/docsgate/keys/pgstore"
	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/keys/recordcodec"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
)

var (
	calendar  = quota.NewCalendar(nil)
	unlimited = quota.Limits{QuestionsPerMonth: 1e12}
)

// counting is a gate that counts usage and quotas, with a store of its own.
type counting struct {
	store  *pgstore.Store
	usage  *usage.Counter
	use    *countersync.Syncer[usage.Row]
	quotas *quota.Counter
	saver  *quota.Saver
}

func startCounting(t testing.TB, o pgstore.Options) *counting {
	t.Helper()
	g := &counting{store: open(t, o), usage: usage.NewMeter(), quotas: quota.New()}
	g.usage.Share()
	g.use = countersync.NewSyncer(g.store.SharedUse(), g.usage.TakeDeltas, g.usage.SetTotals)
	if err := g.use.Load(t.Context(), g.usage.SetTotals); err != nil {
		t.Fatal(err)
	}
	g.saver = quota.NewSaver(quota.SaverOptions{
		Counter: g.quotas, Open: func(context.Context, bool) (quota.Storage, error) { return kept{g.store}, nil },
	})
	if err := g.saver.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	return g
}

// kept is a store that is not closed by a saver.
type kept struct{ quota.SharedStorage }

// run saves the quotas every second, and the usage whenever that was done, until the test ends.
func (g *counting) run(t testing.TB) {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { g.saver.Run(ctx) })
	running.Go(func() {
		for ctx.Err() == nil {
			_ = g.use.Sync(ctx)
			time.Sleep(10 * time.Millisecond)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
}

// ask counts a request, and a question whose tokens are estimated first.
func (g *counting) ask(key string) {
	now := time.Now()
	g.usage.Count(key, false, now)
	r, _ := g.quotas.Reserve(calendar.At(now), key, unlimited, 0)
	e := r.SettleEstimate(calendar.At(now), 10)
	e.Correct(7)
}

// counted returns the requests and questions of a key that are known.
func (g *counting) counted(key string) (requests, questions int64) {
	for _, n := range g.usage.Get(key, time.Now()).Requests {
		requests += int64(n)
	}
	u, _ := g.quotas.Use(calendar.At(time.Now()), key)
	return requests, u.QuestionsThisMonth
}

// eventually waits until all gates have counted n requests and questions of a key.
func eventually(t testing.TB, key string, n int64, gates ...*counting) {
	t.Helper()
	for i, g := range gates {
		for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
			requests, questions := g.counted(key)
			if requests == n && questions == n {
				break
			}
			if time.Since(start) > deadline {
				t.Fatalf("gate %d has %d requests and %d questions of %s, want %d", i, requests, questions, key, n)
			}
		}
	}
}

// Three gates count at the same time. Each of them learns all counts, a new gate too, and a backup and a copy contain them.
func TestGatesCount(t *testing.T) {
	const each = 500
	o := options(pgtest.Database(t))
	gates := []*counting{startCounting(t, o), startCounting(t, o), startCounting(t, o)}
	var asking sync.WaitGroup
	for _, g := range gates {
		g.run(t)
		for range 2 {
			asking.Go(func() {
				for i := range each {
					g.ask("all")
					g.ask(fmt.Sprint("key ", i))
				}
			})
		}
	}
	asking.Wait()
	gates = append(gates, startCounting(t, o))
	gates[3].run(t)
	eventually(t, "all", 6*each, gates...)
	eventually(t, "key 99", 6, gates...)
	for i, g := range gates {
		u, _ := g.quotas.Use(calendar.At(time.Now()), "all")
		if time.Now().UTC().Hour() == 0 && u.TokensToday < 7*6*each { // the day has just begun
			continue
		}
		if u.TokensToday != 7*6*each || u.EstimatedTokensToday != 0 {
			t.Errorf("gate %d: %+v", i, u)
		}
	}
	var file bytes.Buffer
	if err := gates[0].store.Backup(t.Context(), &file); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "keys.db")
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	backup, err := boltstore.Open(t.Context(), boltstore.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer backup.Close()
	again := options(pgtest.Database(t))
	if err := registry.Copy(t.Context(), backup, open(t, again)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all", 6*each, startCounting(t, again))
}

// The connection is cut anywhere in a transaction, also while it is committed. Nothing is lost or counted twice.
func TestCountsAndCutConnections(t *testing.T) {
	database := pgtest.Database(t)
	direct := open(t, options(database))
	proxy := feedtest.NewProxy(t, pgtest.Host())
	uri := strings.Replace(pgtest.URI("postgres", database), pgtest.Host(), proxy.Addr(), 1)
	s := open(t, pgstore.Options{URI: keys.NewSecret(uri), Timeout: 2 * time.Second})
	var unsaved int64
	row := quota.Row{ID: "k", Day: calendarDay()}
	take := func(int) (deltas []quota.Row) {
		if unsaved > 0 {
			row.QuestionsDay, row.QuestionsMonth, unsaved = unsaved, unsaved, 0
			deltas = append(deltas, row)
		}
		return deltas
	}
	watched := &spy{Storage: s.SharedQuotas(), direct: direct}
	syncer := countersync.NewSyncer(watched, take, func([]quota.Row) {})
	counted := int64(0)
	// try counts one question, cuts the connection after some bytes of the server, and reports whether the batch was acknowledged.
	try := func(bytes int) (acknowledged bool) {
		for start := time.Now(); ; time.Sleep(10 * time.Millisecond) { // with a connection that has been used
			unsaved++
			counted++
			if syncer.Sync(t.Context()) == nil {
				break
			}
			if time.Since(start) > deadline {
				t.Fatal("there is no connection")
			}
		}
		unsaved++
		counted++
		failed, cut := watched.failed, proxy.CutAfter(bytes)
		if err := syncer.Sync(t.Context()); err != nil {
			<-cut
		}
		proxy.Accept()
		return watched.failed == failed
	}
	const most = 4000
	size := sort.Search(most, try) // of what the server sends for one batch
	if size == 0 || size == most {
		t.Fatalf("the server sends %d bytes for a batch", size)
	}
	for range 10 {
		try(rand.IntN(size))
	}
	for i := range 10 { // in the response to COMMIT
		try(size - 1 - i)
	}
	for start := time.Now(); syncer.Sync(t.Context()) != nil; time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > deadline {
			t.Fatal("the counts are not saved after the connection works again")
		}
	}
	stored := quotasOf(t, direct)
	if len(stored) != 1 || stored[0].QuestionsDay != counted {
		t.Errorf("stored %+v, want %d questions", stored, counted)
	}
	if watched.failed == 0 || watched.stored == 0 {
		t.Errorf("%d batches failed, of which %d were stored: the cuts are not where they should be", watched.failed, watched.stored)
	}
	t.Logf("%d batches failed, of which %d were stored", watched.failed, watched.stored)
}

// spy counts failed batches, and those of them that were stored.
type spy struct {
	countersync.Storage[quota.Row]
	direct         *pgstore.Store
	failed, stored int
}

func (s *spy) Add(ctx context.Context, b countersync.Batch[quota.Row]) error {
	before := total(s.direct)
	err := s.Storage.Add(ctx, b)
	if err != nil {
		s.failed++
		if total(s.direct) != before {
			s.stored++
		}
	}
	return err
}

func total(s *pgstore.Store) (questions int64) {
	_ = s.Quotas(context.Background(), func(r quota.Row) error { questions += r.QuestionsDay; return nil })
	return questions
}

func calendarDay() int32 { return int32(time.Now().Unix() / (24 * 60 * 60)) }

func quotasOf(t testing.TB, s registry.Storage) (rows []quota.Row) {
	t.Helper()
	if err := s.Quotas(t.Context(), func(r quota.Row) error { rows = append(rows, r); return nil }); err != nil {
		t.Fatal(err)
	}
	return rows
}

// Rows of the previous schema become totals, and are rows of that again after a downgrade.
func TestCounterMigration(t *testing.T) {
	database := pgtest.Database(t)
	s := open(t, options(database))
	if err := s.MigrateTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		body := recordcodec.AppendQuota(nil, &quota.Row{Day: calendarDay(), QuestionsDay: int64(i) + 1})
		pgtest.Exec(t, database, fmt.Sprintf(`INSERT INTO docsgate.quotas (id, body) VALUES ('key_%d', '\x%x')`, i, body))
	}
	if err := s.MigrateTo(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	rows, revision, err := s.SharedQuotas().Changes(t.Context(), 0)
	if err != nil || len(rows) != 3 || revision != 3 {
		t.Errorf("%v, revision %d, %v", rows, revision, err)
	}
	if err := s.SharedQuotas().Add(t.Context(), countersync.Batch[quota.Row]{
		Writer: "w", Seq: 1, Deltas: []quota.Row{{ID: "key_0", Day: calendarDay(), QuestionsDay: 5}},
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.MigrateTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if rows := quotasOf(t, s); len(rows) != 3 || rows[0].QuestionsDay != 6 {
		t.Errorf("after the downgrade: %v", rows)
	}
}

// A gate of this version adds nothing to a database with a newer format.
func TestCountsAndNewerFormat(t *testing.T) {
	database := pgtest.Database(t)
	s := open(t, options(database))
	pgtest.Exec(t, database, "UPDATE docsgate.state SET format = 99")
	batch := countersync.Batch[quota.Row]{Writer: "w", Seq: 1, Deltas: []quota.Row{{ID: "k", Day: calendarDay(), QuestionsDay: 1}}}
	if err := s.SharedQuotas().Add(t.Context(), batch); !errors.Is(err, pgstore.ErrNewer) {
		t.Errorf("Add: %v", err)
	}
	if _, _, err := s.SharedQuotas().Changes(t.Context(), 0); !errors.Is(err, pgstore.ErrNewer) {
		t.Errorf("Changes: %v", err)
	}
	if err := s.SharedQuotas().Prune(t.Context()); !errors.Is(err, pgstore.ErrNewer) {
		t.Errorf("Prune: %v", err)
	}
}

// BenchmarkAdd adds the deltas of one key and of a full batch.
func BenchmarkAdd(b *testing.B) {
	for _, n := range []int{1, countersync.MaxRows} {
		b.Run(fmt.Sprint("rows=", n), func(b *testing.B) {
			s, deltas, seq := open(b, options(pgtest.Database(b))), make([]quota.Row, n), uint64(0)
			for i := range deltas {
				deltas[i] = quota.Row{ID: fmt.Sprint("key_", i), Day: calendarDay(), QuestionsDay: 1, QuestionsMonth: 1, TokensDay: 1000}
			}
			for b.Loop() {
				seq++
				if err := s.SharedQuotas().Add(b.Context(), countersync.Batch[quota.Row]{Writer: "w", Seq: seq, Deltas: deltas}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
