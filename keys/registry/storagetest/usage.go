package storagetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
)

func savedUsage(t *testing.T, s registry.Storage) {
	rows := []usage.Row{
		{ID: "key_a", LastUsed: 29_000_000, OldLastUsed: 28_999_999, Hour: 483_333},
		{ID: "key_b"},
	}
	for i := range rows[0].Requests {
		rows[0].Requests[i] = uint32(i) * 178_956_970
	}
	rows[1].Requests[3] = 7
	save := func(rows ...usage.Row) {
		if err := s.SaveUse(t.Context(), rows); err != nil {
			t.Fatal(err)
		}
	}
	wantUse := func(want ...usage.Row) {
		t.Helper()
		var got []usage.Row
		if err := s.Use(t.Context(), func(r usage.Row) error { got = append(got, r); return nil }); err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(got, func(a, b usage.Row) int { return strings.Compare(a.ID, b.ID) })
		if !slices.Equal(got, want) {
			t.Errorf("usage is\n%v, want\n%v", got, want)
		}
	}
	wantUse()
	save()
	save(rows...)
	wantUse(rows...)
	rows[1] = usage.Row{ID: "key_b", LastUsed: 5}
	save(rows[1])
	wantUse(rows...)
	own := errors.New("own")
	if err := s.Use(t.Context(), func(usage.Row) error { return own }); err != own { //nolint:errorlint // it must not be wrapped
		t.Errorf("the error of yield became %v", err)
	}
	many := make([]usage.Row, 10_000)
	for i := range many {
		many[i] = usage.Row{ID: fmt.Sprintf("key_%05d", i), LastUsed: int64(i), Hour: 1}
	}
	slices.Reverse(many)
	save(many...)
	slices.Reverse(many)
	wantUse(append(many, rows...)...)
}
