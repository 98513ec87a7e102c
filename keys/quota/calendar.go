package quota

import (
	"sort"
	"sync/atomic"
	"time"
)

// Calendar divides time into the days and months of a time zone. It is safe for concurrent use.
type Calendar struct {
	zone    *time.Location
	current atomic.Pointer[Period] // result of the last call of At
}

// NewCalendar returns the calendar of a time zone. Nil is UTC.
func NewCalendar(zone *time.Location) *Calendar {
	if zone == nil {
		zone = time.UTC
	}
	return &Calendar{zone: zone}
}

// Period is a day, and the month that it is in. It never changes.
type Period struct {
	calendar   *Calendar
	day, month int32 // days since 1970-01-01, months since the year 0

	DayStart, DayEnd     time.Time // beginning of the day and of the next one
	MonthStart, MonthEnd time.Time // beginning of the month and of the next one
}

// At returns the period of a time. It allocates memory once a day.
func (c *Calendar) At(now time.Time) *Period {
	if p := c.current.Load(); p != nil && !now.Before(p.DayStart) && now.Before(p.DayEnd) {
		return p
	}
	p := c.period(now.In(c.zone).Date())
	c.current.Store(p)
	return p
}

func (c *Calendar) period(year int, month time.Month, day int) *Period {
	return &Period{
		calendar: c, day: dayNumber(year, month, day), month: monthNumber(year, month),
		DayStart: c.startOf(year, month, day), DayEnd: c.startOf(year, month, day+1),
		MonthStart: c.startOf(year, month, 1), MonthEnd: c.startOf(year, month+1, 1),
	}
}

// Calendar returns the calendar of the period.
func (p *Period) Calendar() *Calendar { return p.calendar }

// Day returns the number of the day since 1970-01-01, in the time zone of the calendar.
func (p *Period) Day() int32 { return p.day }

// Month returns the number of the month since the year 0.
func (p *Period) Month() int32 { return p.month }

// OnDay returns the period of another day in the same time zone. It allocates memory if the day is another one.
func (p *Period) OnDay(day int32) *Period {
	if day == p.day {
		return p
	}
	return p.calendar.period(time.Unix(int64(day)*24*60*60, 0).UTC().Date())
}

// startOf returns the first moment of a date, to the second. Where clocks change at midnight, that is not always 0:00, and 0:00 may
// occur twice.
func (c *Calendar) startOf(year int, month time.Month, day int) time.Time {
	want := dayNumber(year, month, day)
	const window = 26 * time.Hour // a zone may skip a whole date
	from := time.Date(year, month, day, 0, 0, 0, 0, c.zone).Add(-window)
	seconds := sort.Search(int(2*window/time.Second), func(i int) bool {
		return dayNumber(from.Add(time.Duration(i)*time.Second).Date()) >= want
	})
	return from.Add(time.Duration(seconds) * time.Second)
}

func dayNumber(year int, month time.Month, day int) int32 {
	return int32(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix() / (24 * 60 * 60))
}

func monthNumber(year int, month time.Month) int32 {
	return int32(year*12 + int(month) - 1)
}

// monthOf returns the month that a day is in.
func monthOf(day int32) int32 {
	year, month, _ := time.Unix(int64(day)*24*60*60, 0).UTC().Date()
	return monthNumber(year, month)
}
