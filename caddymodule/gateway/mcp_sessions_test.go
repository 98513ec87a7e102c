package gateway

import (
	"fmt"
	"testing"
)

// The table is bounded: it forgets the oldest session for a new one. A session can be forgotten several times.
func TestSessionTableIsBounded(t *testing.T) {
	table := newSessionTable(3)
	for i := range 5 {
		old := table.insert(&openSession{table: table, id: fmt.Sprint(i)})
		if want := i - 3; (old == nil) != (want < 0) || old != nil && old.id != fmt.Sprint(want) {
			t.Errorf("session %d replaced %+v", i, old)
		}
	}
	for range 2 {
		table.forget("3")
		table.forget("0")
	}
	if table.insert(&openSession{table: table, id: "5"}) != nil || table.oldest.Len() != 3 || len(table.byID) != 3 {
		t.Errorf("%d in the list, %d by ID", table.oldest.Len(), len(table.byID))
	}
}
