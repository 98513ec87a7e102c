package commands

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

var inDays = regexp.MustCompile(`^([0-9]{1,5})(d|w)$`)

// parseDuration parses a duration: days or weeks such as 90d or 2w, or Go's syntax such as 36h or 1h30m. It must not be negative.
func parseDuration(text string) (time.Duration, error) {
	const day = 24 * time.Hour
	if m := inDays.FindStringSubmatch(text); m != nil {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return 0, err
		}
		if m[2] == "w" {
			n *= 7
		}
		return time.Duration(n) * day, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, errors.New("write a duration such as 30m, 24h, 7d or 2w")
	}
	return d, nil
}

// parseTime parses a time: a duration from now, a date, which means 00:00 UTC, or RFC 3339. The result is in UTC, in whole
// seconds if it is relative to now.
func parseTime(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	d, err := parseDuration(text)
	if err != nil {
		return time.Time{}, errors.New("write a duration such as 90d, a date such as 2027-01-01, or a time such as " +
			"2027-01-01T12:00:00Z")
	}
	at := now.Add(d).UTC().Truncate(time.Second)
	if at.Year() > 9999 {
		return time.Time{}, errors.New("the time is after the year 9999: leave the flag out for a key that never expires")
	}
	return at, nil
}

// relativeTime returns a time relative to now, such as "3 days ago"; for nil "never".
func relativeTime(at *time.Time, now time.Time) string {
	if at == nil {
		return "never"
	}
	return humanize.RelTime(*at, now, "ago", "from now")
}

// formatTime returns a time in RFC 3339, in UTC; for nil "".
func formatTime(at *time.Time) string {
	if at == nil {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

// sparkline returns a bar of one of eight heights for each count, and a dot for 0.
func sparkline(counts []uint64) string {
	bars := []rune("▁▂▃▄▅▆▇█")
	var most uint64
	for _, n := range counts {
		most = max(most, n)
	}
	var b strings.Builder
	for _, n := range counts {
		if n == 0 {
			b.WriteRune('·')
			continue
		}
		height := int(math.Ceil(float64(n) / float64(most) * float64(len(bars))))
		b.WriteRune(bars[min(max(height, 1), len(bars))-1])
	}
	return b.String()
}

func sum(counts []uint64) (total uint64) {
	for _, n := range counts {
		total += n
	}
	return total
}

// formatCount returns a count with thousands separators.
func formatCount(n uint64) string { return humanize.Comma(int64(min(n, 1<<62))) }

// plural returns a count with its noun, such as "1 key" or "2 keys".
func plural(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%s %s", humanize.Comma(int64(n)), more)
}
