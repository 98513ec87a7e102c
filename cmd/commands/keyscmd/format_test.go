package keyscmd

import "testing"

func TestSparkline(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []uint64
		out  string
	}{
		{"zero counts are dots", []uint64{0, 0, 0}, "···"},
		{"the maximum is a full bar, and a small count is visible", []uint64{0, 1, 500, 1000, 1_000_000}, "·▁▁▁█"},
		{"equal counts are equal", []uint64{3, 3}, "██"},
		{"halves", []uint64{4, 8}, "▄█"},
		{"counts beyond float precision", []uint64{1<<64 - 1, 1<<64 - 2, 1}, "██▁"},
		{"empty", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := sparkline(c.in); got != c.out {
				t.Errorf("%q, not %q", got, c.out)
			}
		})
	}
}
