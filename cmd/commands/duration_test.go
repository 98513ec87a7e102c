package commands

import (
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 8, time.FixedZone("", 3600))
	for _, c := range []struct{ in, out string }{
		{"90d", "2026-06-02T04:06:07Z"},
		{"2w", "2026-03-18T04:06:07Z"},
		{"36h", "2026-03-05T16:06:07Z"},
		{"1h30m", "2026-03-04T05:36:07Z"},
		{"2027-01-01", "2027-01-01T00:00:00Z"},
		{"2027-01-01T12:00:00+01:00", "2027-01-01T11:00:00Z"},
		{"", ""},
		{"90", ""},
		{"-1h", ""},
		{"90 d", ""},
		{"2027-02-30", ""},
		{"2027-01-01 12:00", ""},
		{"999999d", ""},
		{"tomorrow", ""},
	} {
		t.Run(c.in, func(t *testing.T) {
			at, err := parseTime(c.in, now)
			got := formatTime(&at)
			if err != nil {
				got = ""
			}
			if got != c.out {
				t.Errorf("%s, not %s (%v)", got, c.out, err)
			}
		})
	}
}

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
