package usage

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) time.Time { return noon.Add(-d) }

// requests returns the counts of a window by age in hours.
func requests(byAge map[int]uint32) (r [Hours]uint32) {
	for age, n := range byAge {
		r[Hours-1-age] = n
	}
	return r
}

func TestRequestsByHour(t *testing.T) {
	const h = time.Hour
	cases := map[string]struct {
		counted []time.Duration // before noon, in the order of the calls
		now     time.Duration   // before noon
		want    map[int]uint32
	}{
		"never used":                     {nil, 0, nil},
		"now":                            {[]time.Duration{0, 0}, 0, map[int]uint32{0: 2}},
		"just before the hour":           {[]time.Duration{1, 0}, 0, map[int]uint32{1: 1, 0: 1}},
		"the last of 24 hours":           {[]time.Duration{23 * h}, 0, map[int]uint32{23: 1}},
		"just outside of 24 hours":       {[]time.Duration{23*h + 1}, 0, nil},
		"a gap":                          {[]time.Duration{20 * h, 3 * h}, 0, map[int]uint32{20: 1, 3: 1}},
		"a gap of a day":                 {[]time.Duration{24 * h, 0}, 0, map[int]uint32{0: 1}},
		"a gap of years":                 {[]time.Duration{30000 * h, 0}, 0, map[int]uint32{0: 1}},
		"read later":                     {[]time.Duration{5 * h, 4 * h}, 2 * h, map[int]uint32{3: 1, 2: 1}},
		"the clock goes back":            {[]time.Duration{0, 2 * h, 0}, 0, map[int]uint32{2: 1, 0: 2}},
		"read after the clock went back": {[]time.Duration{3 * h, 0}, 2 * h, map[int]uint32{1: 1}},
		"the clock was wrong by a year":  {[]time.Duration{-8760 * h, 2 * h, h}, 0, map[int]uint32{2: 1, 1: 1}},
		"every hour of two days": {func() (all []time.Duration) {
			for i := 47; i >= 0; i-- {
				all = append(all, time.Duration(i)*h)
			}
			return all
		}(), 0, func() map[int]uint32 {
			all := map[int]uint32{}
			for i := range Hours {
				all[i] = 1
			}
			return all
		}()},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := NewMeter()
			for _, before := range tc.counted {
				m.Count("a", false, ago(before))
			}
			if got, want := m.Get("a", ago(tc.now)).Requests, requests(tc.want); got != want {
				t.Errorf("requests %v, want %v", got, want)
			}
			if m.Get("b", noon) != (Stats{}) {
				t.Error("another key was used, too")
			}
		})
	}
}

func TestLastUsed(t *testing.T) {
	minute := func(d time.Duration) time.Time { return ago(d).Truncate(time.Minute) }
	cases := map[string]struct {
		counted   []time.Duration
		last, old time.Time // expected if every second request uses a previous token
	}{
		"once":                              {[]time.Duration{time.Second}, minute(time.Second), time.Time{}},
		"with both tokens":                  {[]time.Duration{time.Hour, time.Minute}, minute(time.Hour), minute(time.Minute)},
		"out of order":                      {[]time.Duration{0, 0, time.Hour, 2 * time.Hour}, noon, noon},
		"years ago":                         {[]time.Duration{50000 * time.Hour}, minute(50000 * time.Hour), time.Time{}},
		"after the clock was wrong by days": {[]time.Duration{-72 * time.Hour, -72 * time.Hour, 0, 1}, noon, minute(1)},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			m := NewMeter()
			for i, before := range tc.counted {
				m.Count("a", i%2 == 1, ago(before))
			}
			if got := m.Get("a", noon); !got.LastUsed.Equal(tc.last) || !got.OldLastUsed.Equal(tc.old) {
				t.Errorf("used %v and %v, want %v and %v", got.LastUsed, got.OldLastUsed, tc.last, tc.old)
			}
		})
	}
}

// After a restart the saved usage is available, however long the restart took, and counting continues from it.
func TestRestore(t *testing.T) {
	before := NewMeter()
	before.Count("a", false, ago(20*time.Hour))
	before.Count("a", true, ago(time.Hour))
	before.Count("a", false, noon)
	rows := before.TakeDirty()
	if len(rows) != 1 {
		t.Fatalf("rows %v", rows)
	}
	for name, tc := range map[string]struct {
		later time.Duration
		want  map[int]uint32
	}{
		"immediately": {0, map[int]uint32{20: 1, 1: 1, 0: 1}},
		"hours later": {5 * time.Hour, map[int]uint32{6: 1, 5: 1}},
		"a day later": {24 * time.Hour, nil},
		"years later": {50000 * time.Hour, nil},
	} {
		t.Run(name, func(t *testing.T) {
			m := NewMeter()
			m.Restore(rows[0])
			if rows := m.TakeDirty(); len(rows) != 0 {
				t.Errorf("restored rows are reported as changed: %v", rows)
			}
			now := noon.Add(tc.later)
			got := m.Get("a", now)
			if got.Requests != requests(tc.want) || !got.LastUsed.Equal(noon) || !got.OldLastUsed.Equal(ago(time.Hour)) {
				t.Errorf("use %+v", got)
			}
			m.Count("a", false, now)
			want := requests(tc.want)
			want[Hours-1]++
			if got := m.Get("a", now).Requests; got != want {
				t.Errorf("after one more request: %v, want %v", got, want)
			}
		})
	}
	t.Run("invalid rows", func(t *testing.T) {
		m := NewMeter()
		for i, r := range []Row{{}, {Hour: -5, LastUsed: -7}, {Hour: 1 << 60, OldLastUsed: 1 << 60}, {Hour: 3, Requests: requests(map[int]uint32{9: 1})}} {
			r.ID = fmt.Sprint(i)
			m.Restore(r)
			m.Count(r.ID, true, noon)
			if n := m.Get(r.ID, noon).Requests[Hours-1]; n != 1 {
				t.Errorf("row %d: %d requests", i, n)
			}
		}
	})
}

func TestChanged(t *testing.T) {
	m := NewMeter()
	ids := func() (ids []string) {
		for _, r := range m.TakeDirty() {
			ids = append(ids, r.ID)
		}
		return ids
	}
	expect := func(step string, want ...string) {
		t.Helper()
		if got := ids(); !slices.Equal(got, want) {
			t.Errorf("%s: changed %v, want %v", step, got, want)
		}
	}
	expect("no use")
	for _, id := range []string{"c", "a", "b", "a"} {
		m.Count(id, false, noon)
	}
	expect("three keys, sorted by id", "a", "b", "c")
	expect("again")
	m.Count("b", true, noon)
	expect("one more", "b")
	m.Count("c", false, noon)
	m.MarkDirty([]Row{{ID: "c"}, {ID: "a"}, {ID: "gone"}})
	expect("two keys that could not be saved, one of them used since", "a", "c")
}

// naive is a slow reference implementation of Meter.
type naive struct {
	hours     map[string]map[int64]uint32
	last, old map[string]int64
	changed   map[string]bool
}

func newNaive() *naive {
	return &naive{map[string]map[int64]uint32{}, map[string]int64{}, map[string]int64{}, map[string]bool{}}
}

func (n *naive) count(id string, old bool, now time.Time) {
	if n.hours[id] == nil {
		n.hours[id] = map[int64]uint32{}
	}
	n.hours[id][now.Unix()/3600]++
	at := n.last
	if old {
		at = n.old
	}
	at[id] = max(at[id], now.Unix()/60)
	n.changed[id] = true
}

func (n *naive) window(id string, last int64) (r [Hours]uint32) {
	for i := range r {
		r[i] = n.hours[id][last-Hours+1+int64(i)]
	}
	return r
}

// For random sequences of calls, with a clock that jumps forward and goes back by hours, a Meter returns the same as the
// reference implementation, even after repeated restores from saved rows.
func TestMeterMatchesReference(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			m, model := NewMeter(), newNaive()
			saved := map[string]Row{}
			save := func() {
				rows := m.TakeDirty()
				for _, row := range rows {
					if !model.changed[row.ID] {
						t.Errorf("key %s was not used", row.ID)
					}
					delete(model.changed, row.ID)
					saved[row.ID] = row
				}
				if len(model.changed) > 0 {
					t.Errorf("use is lost: %v", model.changed)
				}
				clear(model.changed)
				if r.IntN(3) == 0 {
					m.MarkDirty(rows)
					for _, row := range rows {
						model.changed[row.ID] = true
					}
				}
			}
			now, newest := noon, noon
			for range 3000 {
				id := fmt.Sprint("key-", r.IntN(40))
				switch r.IntN(40) {
				case 0:
					now = now.Add(time.Duration(r.Int64N(int64(40 * time.Hour))))
				case 1, 2, 3:
					now = now.Add(time.Duration(r.Int64N(int64(2 * time.Hour))))
				case 4:
					now = newest.Add(-time.Duration(r.Int64N(int64(5 * time.Hour))))
				case 5:
					save()
				case 6:
					save()
					m.TakeDirty() // including what save has returned
					clear(model.changed)
					m = NewMeter()
					for _, row := range saved {
						m.Restore(row)
					}
				default:
					old, times := r.IntN(4) == 0, 1
					if r.IntN(200) == 0 {
						times = r.IntN(600) // more requests per hour than fit into past
					}
					for range times {
						m.Count(id, old, now)
						model.count(id, old, now)
					}
				}
				if now.After(newest) {
					newest = now
				}
				got := m.Get(id, newest)
				want := Stats{Requests: model.window(id, newest.Unix()/3600)}
				if at := model.last[id]; at > 0 {
					want.LastUsed = time.Unix(at*60, 0).UTC()
				}
				if at := model.old[id]; at > 0 {
					want.OldLastUsed = time.Unix(at*60, 0).UTC()
				}
				if got != want {
					t.Fatalf("key %s: %+v, want %+v", id, got, want)
				}
			}
			save()
			for id := range model.hours {
				row := saved[id]
				if row.LastUsed != model.last[id] || row.OldLastUsed != model.old[id] || row.Requests != model.window(id, row.Hour) {
					t.Errorf("saved %+v", row)
				}
			}
		})
	}
}

// With concurrent counts, and while rows are taken and returned, the last rows of all keys contain every request.
func TestConcurrentCountsLoseNothing(t *testing.T) {
	const workers, each, ids = 4, 20000, 300
	m := NewMeter()
	var counting sync.WaitGroup
	for w := range workers {
		counting.Go(func() {
			for i := range each {
				// Several keys concurrently, over four hours that come in a different order for each.
				m.Count(fmt.Sprint("key-", (i*7+w)%ids), i%2 == 0, noon.Add(time.Duration((i+w)%4)*time.Hour))
			}
		})
	}
	done := make(chan struct{})
	go func() {
		counting.Wait()
		close(done)
	}()
	saved := map[string]Row{}
	take := func(keep bool) {
		rows := m.TakeDirty()
		if !keep {
			m.MarkDirty(rows)
			return
		}
		for _, row := range rows {
			saved[row.ID] = row
		}
	}
	for i, counting := 0, true; counting; i++ {
		select {
		case <-done:
			counting = false
		default:
			take(i%3 > 0)
			m.Get("key-1", noon)
		}
	}
	take(true)
	total := uint32(0)
	for _, row := range saved {
		for _, n := range row.Requests {
			total += n
		}
	}
	if total != workers*each {
		t.Errorf("%d requests were saved of %d", total, workers*each)
	}
	if len(saved) != ids {
		t.Errorf("%d keys, want %d", len(saved), ids)
	}
}
