package duration_test

import (
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/duration"
)

const day = 24 * time.Hour

func TestParse(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "0d": 0, "12h": 12 * time.Hour, "90d": 90 * day, "2w": 14 * day, "1y": 365 * day, "43200m": 30 * day,
		"720h0m0s": 30 * day, "1h30m": 90 * time.Minute, "1.5h": 90 * time.Minute, "1.5d": 36 * time.Hour, "1y2w3d4h5m6s": 382*day + 4*time.Hour + 5*time.Minute + 6*time.Second,
		"99999d": 99999 * day, "292y": 292 * 365 * day,
	} {
		if got, err := duration.Parse(text); err != nil || got != want {
			t.Errorf("%q: %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "d", "24", "-1h", "+1h", "1h ", " 1h", "1 h", "1h-30m", "1.h", ".5h", "1.2.3h", "1e3h", "1H", "1D", "1mo", "500ms", "1us", "NaNd",
		"١d", "1h\n", "1h\x00", "00000000001d", "1d1d1d1d1d1d1d", strings.Repeat("1d", 1<<16), "tomorrow",
	} {
		if got, err := duration.Parse(text); err == nil || !strings.Contains(err.Error(), "write a duration such as") || got != 0 {
			t.Errorf("%.20q: %s, %v", text, got, err)
		}
	}
	for _, text := range []string{"293y", "106752d", "999999999h", "999999999y", "292y9000h", "292y292y"} {
		if got, err := duration.Parse(text); err == nil || err.Error() != "the duration is too long" || got != 0 {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}

func TestParsePast(t *testing.T) {
	now := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"7d": now.Add(-7 * day), "0": now, "2027-01-02": time.Date(2027, 1, 2, 0, 0, 0, 0, time.UTC),
		"2027-01-02T03:04:05+01:00": time.Date(2027, 1, 2, 2, 4, 5, 0, time.UTC),
	} {
		if got, err := duration.ParsePast(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%s: %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "yesterday", "-1d"} {
		if got, err := duration.ParsePast(text, now); err == nil {
			t.Errorf("%q: %s", text, got)
		}
	}
}

func TestParseTime(t *testing.T) {
	now := time.Date(2026, 3, 4, 5, 6, 7, 8, time.FixedZone("", 3600))
	for _, c := range []struct{ in, out string }{
		{"90d", "2026-06-02T04:06:07Z"},
		{"2w", "2026-03-18T04:06:07Z"},
		{"1y", "2027-03-04T04:06:07Z"},
		{"36h", "2026-03-05T16:06:07Z"},
		{"1h30m", "2026-03-04T05:36:07Z"},
		{"43200m", "2026-04-03T04:06:07Z"},
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
			at, err := duration.ParseTime(c.in, now)
			got := at.Format(time.RFC3339)
			if err != nil {
				got = ""
			}
			if got != c.out {
				t.Errorf("%s, not %s (%v)", got, c.out, err)
			}
		})
	}
}

// The result is never negative, and what Go writes for it is parsed as the same duration, in whole seconds.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"0", "90d", "2w", "1y", "12h", "43200m", "1h30m", "1.5d", "106752d", "-1h", "720h0m0s", "292y9000h"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := duration.Parse(text)
		if d < 0 || err != nil && d != 0 {
			t.Fatalf("%s, %v", d, err)
		}
		if err != nil {
			return
		}
		whole := d.Truncate(time.Second)
		if again, err := duration.Parse(whole.String()); err != nil || again != whole {
			t.Fatalf("%s is parsed as %s, %v", whole, again, err)
		}
		if _, err := duration.ParseTime(text, time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		}
	})
}
