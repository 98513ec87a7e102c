package ui

import (
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/docsgate/docsgate/internal/duration"
)

// Moment is a formatted time.
type Moment struct {
	Words   string // "3 minutes ago", "in 2 weeks"
	Exact   string // "2027-01-31 09:05 UTC", for people
	Machine string // RFC 3339
}

// IsZero reports whether m is the zero Moment.
func (m Moment) IsZero() bool { return m.Machine == "" }

func momentOf(t, now time.Time) Moment {
	if t.IsZero() {
		return Moment{}
	}
	words := strings.TrimSpace(humanize.RelTime(t, now, "", ""))
	switch {
	case words == "now" || now.Sub(t).Abs() < time.Minute:
		words = "just now"
		if t.After(now) {
			words = "in a moment"
		}
	case t.After(now):
		words = "in " + words
	default:
		words += " ago"
	}
	t = t.UTC()
	return Moment{Words: words, Exact: t.Format("2006-01-02 15:04 UTC"), Machine: t.Format(time.RFC3339)}
}

// fieldTime is the format of a datetime-local field, in UTC. Browsers omit zero seconds.
const fieldTime = "2006-01-02T15:04:05"

func formatField(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(fieldTime)
}

// parseField parses a datetime-local field. Where a browser shows a text field instead, or a script sends the form, it can also be
// a time that duration.ParseTime accepts. The empty text gives the zero time.
func parseField(text string, now time.Time) (time.Time, bool) {
	if text == "" {
		return time.Time{}, true
	}
	for _, layout := range [...]string{fieldTime, "2006-01-02T15:04", "2006-01-02 15:04"} {
		if t, err := time.ParseInLocation(layout, text, time.UTC); err == nil {
			return t, true
		}
	}
	t, err := duration.ParseTime(text, now)
	return t, err == nil
}
