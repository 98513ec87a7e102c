// Package seriestest contains the conformance tests of a series.Storage.
package seriestest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys/countersync"
	"github.com/docsgate/docsgate/keys/usage/series"
)

// Run tests a storage. open returns an empty one.
func Run(t *testing.T, open func(t *testing.T) series.Storage) {
	for name, test := range map[string]func(t *testing.T, s series.Storage){
		"rows are added to all resolutions": added,
		"a batch is added once":             once,
		"a batch requires writer and seq":   invalidBatch,
		"minutes of a wrong clock":          wrongClock,
		"errors of yield":                   yieldErrors,
		"keys with most requests":           top,
		"old buckets are removed":           prune,
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() { _ = s.Close() })
			test(t, s)
		})
	}
}

// midday is a minute in the middle of yesterday, so that neither an hour nor a day ends close to it.
func midday() int64 {
	day := int64(24 * 60)
	return time.Now().Unix()/60/day*day - day + day/2 + 30
}

func add(t *testing.T, s series.Storage, writer string, seq uint64, rows ...series.Row) {
	t.Helper()
	if err := s.Add(t.Context(), countersync.Batch[series.Row]{Writer: writer, Seq: seq, Deltas: rows}); err != nil {
		t.Fatal(err)
	}
}

func row(key string, minute int64, requests uint64) series.Row {
	return series.Row{Key: key, Minute: minute, Counts: series.Counts{series.Requests: requests, series.RejectedLimit: 1}}
}

// bucket is a bucket with requests.
type bucket struct {
	number   int64
	requests uint64
}

func buckets(t *testing.T, s series.Storage, key string, r series.Resolution, first, last int64) (found []bucket) {
	t.Helper()
	if err := s.Buckets(t.Context(), key, r, first, last, func(n int64, c *series.Counts) error {
		found = append(found, bucket{n, c[series.Requests]})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

func wantBuckets(t *testing.T, s series.Storage, key string, r series.Resolution, want ...bucket) {
	t.Helper()
	middle := r.OfMinute(midday())
	if got := buckets(t, s, key, r, middle-100, middle+100); !slices.Equal(got, want) {
		t.Errorf("buckets of %q of %s: %v, want %v", key, r.Length(), got, want)
	}
}

func added(t *testing.T, s series.Storage) {
	m := midday()
	hour, day := series.Hours.OfMinute(m), series.Days.OfMinute(m)
	add(t, s, "one", 1, row("a", m, 3), row("a", m+1, 4), row("b", m, 5), row(series.AllKeys, m, 8))
	add(t, s, "two", 1, row("a", m, 10), row("a", m, 20), row("a", m-60, 40))
	wantBuckets(t, s, "a", series.Minutes, bucket{m - 60, 40}, bucket{m, 33}, bucket{m + 1, 4})
	wantBuckets(t, s, "a", series.Hours, bucket{hour - 1, 40}, bucket{hour, 37})
	wantBuckets(t, s, "a", series.Days, bucket{day, 77})
	wantBuckets(t, s, "b", series.Days, bucket{day, 5})
	wantBuckets(t, s, series.AllKeys, series.Minutes, bucket{m, 8})
	wantBuckets(t, s, "c", series.Days)
	if got := buckets(t, s, "a", series.Minutes, m+1, m+1); !slices.Equal(got, []bucket{{m + 1, 4}}) {
		t.Errorf("one bucket: %v", got)
	}
	var full series.Counts
	for i := range full {
		full[i] = uint64(i) + 1<<40
	}
	add(t, s, "one", 2, series.Row{Key: "full", Minute: m, Counts: full}, series.Row{Key: "full", Minute: m, Counts: full})
	want := full
	want.Add(&full)
	if err := s.Buckets(t.Context(), "full", series.Days, day, day, func(_ int64, c *series.Counts) error {
		if *c != want {
			t.Errorf("counts %v, want %v", *c, want)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func once(t *testing.T, s series.Storage) {
	m := midday()
	add(t, s, "one", 3, row("a", m, 1))
	add(t, s, "one", 3, row("a", m, 1))
	add(t, s, "one", 2, row("a", m, 1))
	wantBuckets(t, s, "a", series.Minutes, bucket{m, 1})
	add(t, s, "one", 4, row("a", m, 1))
	wantBuckets(t, s, "a", series.Hours, bucket{series.Hours.OfMinute(m), 2})
}

func invalidBatch(t *testing.T, s series.Storage) {
	for _, b := range []countersync.Batch[series.Row]{
		{Seq: 1, Deltas: []series.Row{row("a", midday(), 1)}}, {Writer: "one", Deltas: []series.Row{row("a", midday(), 1)}},
	} {
		if err := s.Add(t.Context(), b); err == nil {
			t.Errorf("the batch %q, %d was added", b.Writer, b.Seq)
		}
	}
	wantBuckets(t, s, "a", series.Minutes)
}

func wrongClock(t *testing.T, s series.Storage) {
	now := time.Now().Unix() / 60
	add(t, s, "one", 1, row("a", now+500_000, 1), row("a", now+30, 1))
	var total uint64
	for _, b := range buckets(t, s, "a", series.Minutes, now-10, now+40) {
		total += b.requests
	}
	if total != 2 {
		t.Errorf("%d requests, want 2", total)
	}
}

func yieldErrors(t *testing.T, s series.Storage) {
	m := midday()
	add(t, s, "one", 1, row("a", m, 1), row("a", m+1, 1))
	own, calls := errors.New("own"), 0
	err := s.Buckets(t.Context(), "a", series.Minutes, m, m+1, func(int64, *series.Counts) error { calls++; return own })
	if err != own || calls != 1 { //nolint:errorlint // it must not be wrapped
		t.Errorf("error %v after %d calls", err, calls)
	}
}

func top(t *testing.T, s series.Storage) {
	m := midday()
	add(t, s, "one", 1, row(series.AllKeys, m, 100), row("a", m, 3), row("b", m, 5), row("c", m, 3), row("d", m-60, 50), row("a", m+1, 4))
	hour := series.Hours.OfMinute(m)
	for _, c := range []struct {
		first int64
		limit int
		want  []series.KeyTotal
	}{
		{hour, 10, []series.KeyTotal{{Key: "a", Total: 9}, {Key: "b", Total: 6}, {Key: "c", Total: 4}}},
		{hour - 1, 2, []series.KeyTotal{{Key: "d", Total: 51}, {Key: "a", Total: 9}}},
		{hour + 1, 2, nil},
	} {
		got, err := s.Top(t.Context(), series.Hours, c.first, hour+5, c.limit)
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("from %d: %v, %v, want %v", c.first-hour, got, err, c.want)
		}
	}
}

func prune(t *testing.T, s series.Storage) {
	now := time.Now()
	minute := now.Unix() / 60
	var rows []series.Row
	for i := range int64(1500) {
		rows = append(rows, row(fmt.Sprintf("key_%04d", i), minute-26*60, 1))
	}
	const day = 24 * 60
	add(t, s, "one", 1, append(rows, row("a", minute, 1), row("a", minute-26*60, 1), row("a", minute-40*day, 1), row("a", minute-400*day, 1))...)
	for {
		more, err := s.Prune(t.Context(), now)
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			break
		}
	}
	for r, want := range map[series.Resolution]int{series.Minutes: 1, series.Hours: 2, series.Days: 3} {
		if got := len(buckets(t, s, "a", r, r.BucketOf(now.AddDate(0, 0, -410)), r.BucketOf(now))); got != want {
			t.Errorf("%d buckets of %s, want %d", got, r.Length(), want)
		}
	}
	found, err := s.Top(t.Context(), series.Minutes, 0, minute, 2000)
	if err != nil || len(found) != 1 {
		t.Errorf("%d keys have minutes, want 1; %v", len(found), err)
	}
}
