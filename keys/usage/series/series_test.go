package series

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/alloctest"
	"github.com/docsgate/docsgate/keys/countersync"
)

// fakeStorage has one bucket per key and minute.
type fakeStorage struct {
	Storage
	mu      sync.Mutex
	fail    error
	seq     uint64
	batches int
	rows    map[Row]uint64 // without counts
}

func (f *fakeStorage) Add(_ context.Context, b countersync.Batch[Row]) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if b.Seq > f.seq {
		f.seq = b.Seq
		f.batches++
		for i := range b.Deltas {
			f.rows[Row{Key: b.Deltas[i].Key, Minute: b.Deltas[i].Minute}] += b.Deltas[i].Counts[Requests]
		}
	}
	return f.fail // possibly although it was added
}

func (f *fakeStorage) Buckets(_ context.Context, key string, r Resolution, first, last int64, yield func(int64, *Counts) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for minute := first; minute <= last; minute++ {
		if n := f.rows[Row{Key: key, Minute: minute}]; n > 0 && r == Minutes {
			if err := yield(minute, &Counts{Requests: n}); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *fakeStorage) Prune(context.Context, time.Time) (bool, error) { return false, nil }
func (f *fakeStorage) Close() error                                   { return nil }

func newHistory(t *testing.T) (*History, *fakeStorage) {
	t.Helper()
	f := &fakeStorage{rows: map[Row]uint64{}}
	h := New(Options{Open: func(context.Context) (Storage, error) { return f, nil }})
	t.Cleanup(func() { _ = h.Close() })
	return h, f
}

var one = Counts{Requests: 1}

func TestRecordAndFlush(t *testing.T) {
	h, f := newHistory(t)
	now := time.Now().Truncate(time.Minute)
	minute := now.Unix() / 60
	h.Record("a", now, &one)
	h.Record("a", now, &one)
	h.Record("a", now.Add(time.Minute), &one)
	h.Record("a", now, &one) // late
	h.Record("b", now, &one)
	for range 3 {
		if err := h.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for row, want := range map[Row]uint64{
		{Key: "a", Minute: minute}: 3, {Key: "a", Minute: minute + 1}: 1, {Key: "b", Minute: minute}: 1,
		{Key: AllKeys, Minute: minute}: 4, {Key: AllKeys, Minute: minute + 1}: 1,
	} {
		if got := f.rows[row]; got != want {
			t.Errorf("%q in minute %d: %d requests, want %d", row.Key, row.Minute-minute, got, want)
		}
	}
	if n := h.rows.Load(); n != 0 {
		t.Errorf("%d rows are in memory after two flushes without requests", n)
	}
}

func TestFlushManyKeys(t *testing.T) {
	h, f := newHistory(t)
	now := time.Now()
	for i := range 5000 {
		h.Record("key_"+string(rune('a'+i%26))+strings.Repeat("x", i/26), now, &one)
	}
	if err := h.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.rows[Row{Minute: now.Unix() / 60}]; got != 5000 || f.batches != 3 {
		t.Errorf("%d requests in %d batches", got, f.batches)
	}
	if n := h.rows.Load(); n != 5000 {
		t.Errorf("%d rows; those of keys in use must remain", n)
	}
}

func TestFailedFlushIsRepeated(t *testing.T) {
	h, f := newHistory(t)
	now := time.Now()
	h.Record("a", now, &one)
	f.fail = errors.New("connection lost")
	for range 2 {
		if err := h.Flush(t.Context()); !errors.Is(err, f.fail) {
			t.Fatal(err)
		}
		h.Record("a", now, &one)
	}
	f.fail = nil
	if err := h.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.rows[Row{Key: "a", Minute: now.Unix() / 60}]; got != 3 {
		t.Errorf("%d requests, want 3", got)
	}
}

func TestRowsAreBounded(t *testing.T) {
	h, f := newHistory(t)
	h.limit = 2
	dropped := 0
	h.dropped = func() { dropped++ }
	now := time.Now()
	for _, key := range []string{"a", "b", "c", "a", "d"} {
		h.Record(key, now, &one)
	}
	if dropped != 2 {
		t.Errorf("%d dropped, want 2", dropped)
	}
	if err := h.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := f.rows[Row{Minute: now.Unix() / 60}]; got != 3 {
		t.Errorf("%d requests, want 3", got)
	}
}

func TestConcurrentRecords(t *testing.T) {
	h, f := newHistory(t)
	now := time.Now()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 2000 {
				h.Record([]string{"a", "b", "c"}[i%3], now.Add(time.Duration(i%4)*time.Minute), &one)
				if i%500 == 0 {
					_ = h.Flush(t.Context())
				}
			}
		})
	}
	all.Wait()
	if err := h.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	total := uint64(0)
	for row, n := range f.rows {
		if row.Key != AllKeys {
			total += n
		}
	}
	if total != 16_000 {
		t.Errorf("%d requests, want 16000", total)
	}
}

func TestRecordAllocatesNothing(t *testing.T) {
	h, _ := newHistory(t)
	now := time.Now()
	h.Record("a", now, &one)
	if n := alloctest.MinAllocs(100, func() { h.Record("a", now, &one) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	_ = h.Flush(t.Context())
	if n := alloctest.MinAllocs(100, func() { h.Record("a", now, &one) }); n != 0 {
		t.Errorf("%v allocations after a flush", n)
	}
}

func TestPoints(t *testing.T) {
	h, _ := newHistory(t)
	now := time.Now().Truncate(time.Hour).Add(10 * time.Minute)
	h.o.Now = func() time.Time { return now }
	for _, ago := range []time.Duration{0, time.Minute, 6 * time.Minute, 30 * time.Minute} {
		h.Record("a", now.Add(-ago), &one)
	}
	r, err := h.Points(t.Context(), Query{Key: "a", Since: now.Add(-8 * time.Minute), Step: 5 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	hour := now.Truncate(time.Hour).UTC()
	want := []Point{
		{hour, Counts{Requests: 1}}, {hour.Add(5 * time.Minute), Counts{Requests: 1}}, {hour.Add(10 * time.Minute), Counts{Requests: 1}},
	}
	if !slices.Equal(r.Points, want) || !r.Since.Equal(hour) || !r.Until.Equal(hour.Add(15*time.Minute)) || r.Total[Requests] != 3 {
		t.Errorf("%+v", r)
	}
}

func TestPlan(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for _, c := range []struct {
		ago, step, wantStep time.Duration
		want                Resolution
		field               string
	}{
		{ago: day, wantStep: time.Minute, want: Minutes},
		{ago: day + time.Second, step: 15 * time.Minute, wantStep: 15 * time.Minute, want: Minutes},
		{ago: 2 * day, wantStep: time.Hour, want: Hours},
		{ago: time.Hour, step: 2 * time.Hour, wantStep: 2 * time.Hour, want: Hours},
		{ago: 31 * day, step: 6 * time.Hour, wantStep: 6 * time.Hour, want: Hours},
		{ago: 31 * day, step: day, wantStep: day, want: Days},
		{ago: 366 * day, wantStep: day, want: Days},
		{ago: 366 * day, step: 7 * day, wantStep: 7 * day, want: Days},
		{ago: 367 * day, field: "since"},
		{ago: -time.Hour, field: "since"},
		{ago: 2 * day, step: time.Minute, field: "step"},
		{ago: day, step: 90 * time.Second, field: "step"},
		{ago: day, step: -time.Minute, field: "step"},
		{ago: 40 * day, step: 36 * time.Hour, field: "step"},
	} {
		q := Query{Since: now.Add(-c.ago), Step: c.step}
		r, err := q.plan(now)
		if invalid, _ := errors.AsType[*QueryError](err); invalid != nil {
			if invalid.Field != c.field {
				t.Errorf("%s, step %s: %v", c.ago, c.step, err)
			}
			continue
		}
		if c.field != "" || r != c.want || q.Step != c.wantStep {
			t.Errorf("%s, step %s: %s in steps of %s", c.ago, c.step, r.name(), q.Step)
		}
	}
}

func TestQuantile(t *testing.T) {
	var c Counts
	if times := c.AnswerTime(); times.Quantile(0.95) != 0 {
		t.Error("a quantile of nothing")
	}
	for i := range 100 {
		c.AddAnswer(time.Duration(i+1) * 20 * time.Millisecond) // up to 2 s
	}
	c.AddFirstEvent(time.Hour)
	times := c.AnswerTime()
	if times.Count != 100 || times.Sum != 101*time.Second || c[Answers] != 100 {
		t.Errorf("%+v", times)
	}
	for q, want := range map[float64]time.Duration{0.5: time.Second, 0.95: 1900 * time.Millisecond, 1: 2 * time.Second} {
		if got := times.Quantile(q); (got - want).Abs() > 20*time.Millisecond {
			t.Errorf("quantile %v: %s, want %s", q, got, want)
		}
	}
	first := c.FirstEvent()
	if got := first.Quantile(0.5); got != 5*time.Minute {
		t.Errorf("above the largest bound: %s", got)
	}
}

func BenchmarkRecord(b *testing.B) {
	r, now := NewRecorder(nil), time.Now()
	b.ReportAllocs()
	for b.Loop() {
		r.Record("key_0123456789", now, &one)
	}
}
