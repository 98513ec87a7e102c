package keyscmd

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

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
func sparkline[N uint32 | uint64](counts []N) string {
	bars := []rune("▁▂▃▄▅▆▇█")
	var most N
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

func sum(counts []uint32) (total uint64) {
	for _, n := range counts {
		total += uint64(n)
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
