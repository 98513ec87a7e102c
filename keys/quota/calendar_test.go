package quota

import (
	"testing"
	"time"
	_ "time/tzdata"
)

func TestPeriods(t *testing.T) {
	for name, c := range map[string]struct{ zone, at, start, end, month string }{
		"UTC":                 {"UTC", "2026-11-29T12:00:00Z", "2026-11-29T00:00:00Z", "2026-11-30T00:00:00Z", "2026-12-01T00:00:00Z"},
		"the end of the year": {"UTC", "2026-12-31T23:59:59Z", "2026-12-31T00:00:00Z", "2027-01-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		"east of UTC":         {"Asia/Tokyo", "2026-11-30T15:00:00Z", "2026-12-01T00:00:00+09:00", "2026-12-02T00:00:00+09:00", "2027-01-01T00:00:00+09:00"},
		"a day of 23 hours": {
			"Europe/Berlin", "2026-03-29T12:00:00Z", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00",
			"2026-04-01T00:00:00+02:00",
		},
		"a day of 25 hours": {
			"Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00",
			"2026-11-01T00:00:00+01:00",
		},
		"no midnight": {
			"America/Sao_Paulo", "2018-11-04T12:00:00Z", "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00",
			"2018-12-01T00:00:00-02:00",
		},
		"two midnights": {
			"America/Havana", "2026-11-01T12:00:00Z", "2026-11-01T00:00:00-04:00", "2026-11-02T00:00:00-05:00",
			"2026-12-01T00:00:00-05:00",
		},
		"a date that does not exist": {
			"Pacific/Apia", "2011-12-30T09:59:59Z", "2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00",
			"2012-01-01T00:00:00+14:00",
		},
	} {
		t.Run(name, func(t *testing.T) {
			zone, err := time.LoadLocation(c.zone)
			if err != nil {
				t.Fatal(err)
			}
			p := NewCalendar(zone).At(parseTime(t, c.at))
			for what, pair := range map[string][2]time.Time{
				"start": {p.DayStart, parseTime(t, c.start)}, "end": {p.DayEnd, parseTime(t, c.end)},
				"month": {p.MonthEnd, parseTime(t, c.month)},
			} {
				if !pair[0].Equal(pair[1]) {
					t.Errorf("%s: %s, want %s", what, pair[0], pair[1])
				}
			}
			if monthOf(p.day) != p.month {
				t.Errorf("the day %d is in the month %d, want %d", p.day, monthOf(p.day), p.month)
			}
		})
	}
}

// Each moment of two years belongs to exactly one day, and days follow each other.
func TestPeriodsAreContiguous(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Cairo"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		c := NewCalendar(zone)
		p := c.At(time.Date(2025, 12, 31, 12, 0, 0, 0, zone))
		for p.DayEnd.Year() < 2028 {
			last := c.At(p.DayEnd.Add(-time.Nanosecond))
			next := c.At(p.DayEnd)
			if last.day != p.day || next.day != p.day+1 || !next.DayStart.Equal(p.DayEnd) || next.month != p.month && !next.DayStart.Equal(p.MonthEnd) {
				t.Fatalf("%s: the day after %s is %+v, want one from %s", name, p.DayStart, next, p.DayEnd)
			}
			p = next
		}
	}
}

func parseTime(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
