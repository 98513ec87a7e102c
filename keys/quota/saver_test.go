package quota

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeStorage stores rows in memory.
type fakeStorage struct {
	mu     sync.Mutex
	rows   map[string]Row
	saves  int
	failed error // of open and SaveQuotas
	closed bool
}

// fail makes all calls fail; nil ends that.
func (s *fakeStorage) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = err
}

// stored returns the row of the key k, and the number of saves.
func (s *fakeStorage) stored() (Row, int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rows["k"], s.saves
}

func (s *fakeStorage) open(context.Context, bool) (Storage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s, s.failed
}

func (s *fakeStorage) SaveQuotas(_ context.Context, rows []Row, remove []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return s.failed
	}
	s.saves++
	for _, row := range rows {
		s.rows[row.ID] = row
	}
	for _, id := range remove {
		delete(s.rows, id)
	}
	return nil
}

func (s *fakeStorage) Quotas(_ context.Context, yield func(Row) error) error {
	s.mu.Lock()
	rows := maps.Clone(s.rows)
	s.mu.Unlock()
	for _, row := range rows {
		if err := yield(row); err != nil {
			return err
		}
	}
	return nil
}

func (s *fakeStorage) Close() error {
	s.closed = true
	return nil
}

// newStorage returns a storage with some rows.
func newStorage(rows ...Row) *fakeStorage {
	s := &fakeStorage{rows: map[string]Row{}}
	for _, row := range rows {
		s.rows[row.ID] = row
	}
	return s
}

// saverOf returns a saver of a counter whose storage exists.
func saverOf(t *testing.T, c *Counter, s *fakeStorage) *Saver {
	t.Helper()
	saver := NewSaver(SaverOptions{Counter: c, Open: s.open, Now: func() time.Time { return now }})
	if err := saver.Restore(t.Context()); err != nil {
		t.Fatal(err)
	}
	return saver
}

var allowed = Limits{QuestionsPerDay: 1e6, QuestionsPerMonth: 1e6, TokensPerDay: 1e9}

func questionsToday(c *Counter) int64 {
	u, _ := c.Use(utc.At(now), "k")
	return u.QuestionsToday
}

func TestRestartIsExact(t *testing.T) {
	storage := newStorage()
	c := New()
	saver := saverOf(t, c, storage)
	for range 3 {
		ask(c, now, allowed, 100)
	}
	open, _ := c.Reserve(utc.At(now), "k", allowed, 0) // in flight, and lost
	if err := saver.Close(); err != nil || !storage.closed {
		t.Fatalf("closed %v, %v", storage.closed, err)
	}
	open.Release()
	again := New()
	saverOf(t, again, storage)
	if u, ok := again.Use(utc.At(now), "k"); !ok || u.QuestionsToday != 4 || u.QuestionsThisMonth != 4 || u.TokensToday != 300 {
		t.Errorf("restored: %+v", u)
	}
	if r, d := again.Reserve(utc.At(now), "k", Limits{TokensPerDay: 301}, 0); d.Rejected != None || r.tokens != 100 {
		t.Errorf("the reservation of before the restart is not gone, or the mean is: %+v, %d", d, r.tokens)
	}
}

func TestRunSavesEverySecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		storage, c := newStorage(), New()
		saver := saverOf(t, c, storage)
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { saver.Run(ctx) })
		for range 5 {
			ask(c, now, allowed, 1)
			ask(c, now, allowed, 1)
			time.Sleep(time.Second)
			synctest.Wait()
		}
		time.Sleep(time.Minute) // nothing changes
		if row, saves := storage.stored(); row.QuestionsDay != 10 || saves != 5 {
			t.Errorf("after 5 seconds: %+v, %d saves", row, saves)
		}
		cancel()
		running.Wait()
	})
}

// Failures do not stop counting, are logged once and reported each time, and end with everything saved.
func TestFailingStorage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		failures, errFull := 0, errors.New("no space left on device")
		storage, c := newStorage(Row{ID: "k", Day: utc.At(now).day, QuestionsDay: 5, QuestionsMonth: 5}), New()
		saver := NewSaver(SaverOptions{
			Counter: c, Log: slog.New(slog.NewTextHandler(&log, nil)), Failed: func() { failures++ }, Now: func() time.Time { return now },
			Open: storage.open,
		})
		storage.fail(errFull)
		if err := saver.Restore(t.Context()); !errors.Is(err, errFull) {
			t.Errorf("the first attempt: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go saver.Run(ctx)
		ask(c, now, allowed, 1)
		time.Sleep(25 * time.Second)
		synctest.Wait()
		if got := questionsToday(c); got != 1 || failures != 3 || strings.Count(log.String(), "no space left") != 1 {
			t.Errorf("%d questions, %d failures, logged\n%s", got, failures, log.String())
		}
		storage.fail(nil)
		time.Sleep(10 * time.Second)
		if got := questionsToday(c); got != 6 {
			t.Errorf("%d questions after the stored ones could be read, want 6", got)
		}
		storage.fail(errors.New("another error"))
		ask(c, now, allowed, 1)
		time.Sleep(10 * time.Second)
		storage.fail(nil)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if row, _ := storage.stored(); row.QuestionsDay != 7 || row.QuestionsMonth != 7 || !strings.Contains(log.String(), "saved again") {
			t.Errorf("saved %+v, logged\n%s", row, log.String())
		}
		cancel()
	})
}

// A new configuration with another storage takes the counts along. If it is rejected, the previous one saves them.
func TestSeveralSavers(t *testing.T) {
	c, first, second := New(), newStorage(), newStorage(Row{ID: "k", Day: utc.At(now).day, QuestionsDay: 1}, Row{ID: "other", Day: utc.At(now).day})
	old := saverOf(t, c, first)
	ask(c, now, allowed, 1)
	ask(c, now, allowed, 1)
	old.tick(t.Context())
	next := saverOf(t, c, second)
	old.tick(t.Context())
	next.tick(t.Context())
	if got := second.rows["k"].QuestionsDay; got != 2 || questionsToday(c) != 2 {
		t.Errorf("the new storage has %d questions, the counter %d", got, questionsToday(c))
	}
	ask(c, now, allowed, 1)
	if err := next.Close(); err != nil {
		t.Fatal(err)
	}
	old.tick(t.Context())
	if a, b := first.rows["k"].QuestionsDay, second.rows["k"].QuestionsDay; a != 3 || b != 3 {
		t.Errorf("after the new configuration: %d and %d questions", a, b)
	}
}

func TestPastPeriodsAreRemoved(t *testing.T) {
	day := utc.At(now).day
	storage, c := newStorage(
		Row{ID: "last-month", Day: day - 31, QuestionsMonth: 1},
		Row{ID: "this-month", Day: day - 20, QuestionsMonth: 1},
		Row{ID: "wrong-clock", Day: day + 400},
	), New()
	saver := saverOf(t, c, storage)
	saver.tick(t.Context())
	if _, ok := storage.rows["this-month"]; !ok || len(storage.rows) != 1 {
		t.Errorf("stored: %v", storage.rows)
	}
	n := 0
	for i := range c.shards {
		n += len(c.shards[i].keys)
	}
	if n != 1 {
		t.Errorf("%d keys in memory", n)
	}
	if u, ok := c.Use(utc.At(now), "this-month"); !ok || u.QuestionsThisMonth != 1 || u.QuestionsToday != 0 {
		t.Errorf("a key of this month: %+v, %v", u, ok)
	}
}
