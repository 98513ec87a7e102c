package storagetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys/countersync"
	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
)

// RunShared tests what a shared storage has more than another one. open is that of Run.
func RunShared(t *testing.T, open func(t *testing.T) registry.SharedStorage) {
	for name, test := range map[string]func(t *testing.T, s registry.SharedStorage){
		"deltas of usage are added once":        sharedUse,
		"deltas of quotas are added once":       sharedQuotas,
		"totals are read in pages, by revision": sharedPages,
		"saved and removed rows are changes":    sharedSaves,
		"expired quotas are removed":            sharedPrune,
		"a batch requires a writer and ids":     sharedErrors,
		"a batch that has failed can be added":  sharedFailedBatch,
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() { _ = s.Close() })
			test(t, s)
		})
	}
}

func add[R any](t *testing.T, s countersync.Storage[R], writer string, seq uint64, deltas ...R) {
	t.Helper()
	if err := s.Add(t.Context(), countersync.Batch[R]{Writer: writer, Seq: seq, Deltas: deltas}); err != nil {
		t.Fatal(err)
	}
}

func sharedChanges[R any](t *testing.T, s countersync.Storage[R], after uint64) ([]R, uint64) {
	t.Helper()
	rows, revision, err := s.Changes(t.Context(), after)
	if err != nil {
		t.Fatal(err)
	}
	return rows, revision
}

func sharedUse(t *testing.T, s registry.SharedStorage) {
	use, hour := s.SharedUse(), time.Now().Unix()/(60*60)
	add(t, s.SharedQuotas(), "one", 5) // sequences are those of a storage
	a := usage.Row{ID: "key_a", LastUsed: hour*60 - 5, Hour: hour}
	a.Requests[usage.Hours-1] = 3
	b := usage.Row{ID: "key_a", LastUsed: hour*60 - 9, OldLastUsed: hour*60 - 1, Hour: hour - 1}
	b.Requests[usage.Hours-1] = 4
	add(t, use, "one", 1, a)
	add(t, use, "two", 1, b)
	add(t, use, "one", 1, a)
	add(t, use, "one", 2, a)
	add(t, use, "one", 1, a)
	want := usage.Row{ID: "key_a", LastUsed: a.LastUsed, OldLastUsed: b.OldLastUsed, Hour: hour}
	want.Requests[usage.Hours-1], want.Requests[usage.Hours-2] = 6, 4
	if rows, _ := sharedChanges(t, use, 0); !slices.Equal(rows, []usage.Row{want}) {
		t.Errorf("totals %v, want %v", rows, want)
	}
	if err := s.Use(t.Context(), func(r usage.Row) error {
		if r != want {
			t.Errorf("row %v, want %v", r, want)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// today returns the current day of a storage.
func today() int32 { return int32(time.Now().Unix() / (24 * 60 * 60)) }

func sharedQuotas(t *testing.T, s registry.SharedStorage) {
	totals, day := s.SharedQuotas(), today()
	add(t, totals, "one", 7,
		quota.Row{ID: "key_a", Day: day, QuestionsDay: 1, QuestionsMonth: 2, TokensDay: 300, EstimatedDay: 100, MeanTokens: 300},
		quota.Row{ID: "key_b", Day: day, QuestionsDay: 1, QuestionsMonth: 1})
	correction := quota.Row{ID: "key_a", Day: day, QuestionsDay: -1, QuestionsMonth: -1, TokensDay: -50, EstimatedDay: -100, MeanTokens: 250}
	add(t, totals, "two", 1, correction)
	add(t, totals, "two", 1, correction)
	want := []quota.Row{
		{ID: "key_a", Day: day, QuestionsMonth: 1, TokensDay: 250, MeanTokens: 250},
		{ID: "key_b", Day: day, QuestionsDay: 1, QuestionsMonth: 1},
	}
	rows := storedQuotas(t, s)
	if !slices.Equal(rows, want) {
		t.Errorf("quotas %v, want %v", rows, want)
	}
	add(t, totals, "one", 8, quota.Row{ID: "key_b", Day: day + 1000, QuestionsDay: 1}) // of a wrong clock
	if got := storedQuotas(t, s); !slices.Equal(got, want) {
		t.Errorf("after a delta of a wrong clock the quotas are %v", got)
	}
}

func storedQuotas(t *testing.T, s registry.Storage) (rows []quota.Row) {
	t.Helper()
	if err := s.Quotas(t.Context(), func(r quota.Row) error { rows = append(rows, r); return nil }); err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(rows, func(a, b quota.Row) int { return strings.Compare(a.ID, b.ID) })
	return rows
}

func sharedPages(t *testing.T, s registry.SharedStorage) {
	totals, many := s.SharedQuotas(), make([]quota.Row, countersync.MaxRows)
	for i := range many {
		many[i] = quota.Row{ID: fmt.Sprintf("key_%05d", i), Day: today(), QuestionsDay: 1}
	}
	add(t, totals, "one", 1, many...)
	add(t, totals, "one", 2, quota.Row{ID: "key_last", Day: today(), QuestionsDay: 1})
	add(t, totals, "one", 3, many[0])
	found, pages, after := map[string]int64{}, 0, uint64(0)
	for more := true; more; pages++ {
		rows, revision := sharedChanges(t, totals, after)
		for _, r := range rows {
			found[r.ID] += r.QuestionsDay
		}
		after, more = revision, len(rows) == countersync.MaxRows
	}
	if pages != 2 || len(found) != countersync.MaxRows+1 || found["key_00000"] != 2 {
		t.Errorf("%d totals in %d pages, %d questions of the changed one", len(found), pages, found["key_00000"])
	}
	if rows, revision := sharedChanges(t, totals, after); len(rows) != 0 || revision != after {
		t.Errorf("without a change: %d totals, revision %d after %d", len(rows), revision, after)
	}
	if rows, revision := sharedChanges(t, totals, after+1000); len(rows) != 0 || revision != after {
		t.Errorf("after a revision of the future: %d totals, revision %d, want %d", len(rows), revision, after)
	}
}

func sharedSaves(t *testing.T, s registry.SharedStorage) {
	totals := s.SharedQuotas()
	row := quota.Row{ID: "key_a", Day: today(), QuestionsDay: 1}
	add(t, totals, "one", 1, row, quota.Row{ID: "key_b", Day: today()})
	_, revision := sharedChanges(t, totals, 0)
	row.QuestionsDay = 5
	if err := s.SaveQuotas(t.Context(), []quota.Row{row}, []string{"key_b"}); err != nil {
		t.Fatal(err)
	}
	if rows, _ := sharedChanges(t, totals, revision); !slices.Equal(rows, []quota.Row{row}) {
		t.Errorf("changes %v, want %v", rows, row)
	}
	if rows := storedQuotas(t, s); len(rows) != 1 {
		t.Errorf("quotas %v", rows)
	}
}

func sharedPrune(t *testing.T, s registry.SharedStorage) {
	old := make([]quota.Row, countersync.MaxRows+5)
	for i := range old {
		old[i] = quota.Row{ID: fmt.Sprintf("key_%05d", i), Day: today() - 40, QuestionsMonth: 1}
	}
	if err := s.SaveQuotas(t.Context(), old, nil); err != nil {
		t.Fatal(err)
	}
	used := quota.Row{ID: old[7].ID, Day: today(), QuestionsDay: 1, QuestionsMonth: 1}
	add(t, s.SharedQuotas(), "one", 1, used)
	if err := s.SharedQuotas().Prune(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rows := storedQuotas(t, s); !slices.Equal(rows, []quota.Row{used}) {
		t.Errorf("%d rows remain, want that of this month", len(rows))
	}
	if err := s.SharedUse().Prune(t.Context()); err != nil {
		t.Error(err)
	}
}

func sharedErrors(t *testing.T, s registry.SharedStorage) {
	row := quota.Row{ID: "key_a", Day: today(), QuestionsDay: 1}
	for name, b := range map[string]countersync.Batch[quota.Row]{
		"no writer":   {Seq: 1, Deltas: []quota.Row{row}},
		"no sequence": {Writer: "one", Deltas: []quota.Row{row}},
		"no id":       {Writer: "one", Seq: 1, Deltas: []quota.Row{row, {Day: today()}}},
	} {
		if err := s.SharedQuotas().Add(t.Context(), b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if rows := storedQuotas(t, s); len(rows) != 0 {
		t.Errorf("stored: %v", rows)
	}
}

func sharedFailedBatch(t *testing.T, s registry.SharedStorage) {
	row := quota.Row{ID: "key_a", Day: today(), QuestionsDay: 1}
	if err := s.SharedQuotas().Add(t.Context(), countersync.Batch[quota.Row]{Writer: "one", Seq: 1, Deltas: []quota.Row{row, {}}}); err == nil {
		t.Error("no error")
	}
	add(t, s.SharedQuotas(), "one", 1, row)
	if rows := storedQuotas(t, s); !slices.Equal(rows, []quota.Row{row}) {
		t.Errorf("stored: %v", rows)
	}
}
