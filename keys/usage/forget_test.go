package usage_test

import (
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys/usage"
)

// Nothing of a key that was forgotten is saved, neither what was counted before nor what was restored.
func TestForget(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, newCounter := range map[string]func() *usage.Counter{
		"own":    usage.NewMeter,
		"shared": func() *usage.Counter { m := usage.NewMeter(); m.Share(); return m },
	} {
		t.Run(name, func(t *testing.T) {
			m := newCounter()
			take := func() []usage.Row {
				if name == "shared" {
					return m.TakeDeltas(10)
				}
				return m.TakeDirty()
			}
			m.Count("a", false, now)
			take()
			m.Count("a", true, now)
			m.Count("b", false, now)
			m.Forget("a")
			m.Forget("unknown")
			if got := m.Get("a", now); got != (usage.Stats{}) {
				t.Errorf("usage is %+v", got)
			}
			if rows := take(); len(rows) != 1 || rows[0].ID != "b" {
				t.Errorf("changed rows: %+v, want that of b", rows)
			}
			m.Count("a", false, now)
			if rows := take(); len(rows) != 1 || rows[0].Requests[usage.Hours-1] != 1 {
				t.Errorf("counted again: %+v", rows)
			}
		})
	}
}
