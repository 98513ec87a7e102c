package storagetest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/keys/registry"
)

func savedQuotas(t *testing.T, s registry.Storage) {
	a := quota.Row{ID: "key_a", Day: 20_786, QuestionsDay: 1, QuestionsMonth: 2, TokensDay: 1 << 60, MeanTokens: 4, EstimatedDay: 5}
	b := quota.Row{ID: "key_b", Day: 20_785}
	save := func(rows []quota.Row, remove ...string) {
		t.Helper()
		if err := s.SaveQuotas(t.Context(), rows, remove); err != nil {
			t.Fatal(err)
		}
	}
	want := func(want ...quota.Row) {
		t.Helper()
		var got []quota.Row
		if err := s.Quotas(t.Context(), func(r quota.Row) error { got = append(got, r); return nil }); err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(got, func(a, b quota.Row) int { return strings.Compare(a.ID, b.ID) })
		if !slices.Equal(got, want) {
			t.Errorf("quotas are\n%v, want\n%v", got, want)
		}
	}
	want()
	save(nil)
	save([]quota.Row{a, b})
	want(a, b)
	b.QuestionsMonth = 7
	save([]quota.Row{b}, "key_a", "key_of_nothing")
	want(b)
	own := errors.New("own")
	if err := s.Quotas(t.Context(), func(quota.Row) error { return own }); err != own { //nolint:errorlint // it must not be wrapped
		t.Errorf("the error of yield became %v", err)
	}
	many, ids := make([]quota.Row, 5000), make([]string, 5000)
	for i := range many {
		many[i] = quota.Row{ID: fmt.Sprintf("key_%05d", i), Day: 1, QuestionsDay: int64(i)}
		ids[i] = many[i].ID
	}
	save(many)
	want(append(slices.Clone(many), b)...)
	save(nil, ids...)
	want(b)
}
