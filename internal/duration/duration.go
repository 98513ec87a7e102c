// Package duration parses the durations and times that users enter, for the command line, the API and the console alike.
package duration

import (
	"errors"
	"math"
	"regexp"
	"time"
)

// Pattern is a regular expression for the syntax of Parse, without the maximum. JSON Schema reads it, too.
const Pattern = `^(0|([0-9]{1,9}(\.[0-9]{1,9})?[ywdhms]){1,6})$`

var (
	syntax = regexp.MustCompile(Pattern)
	part   = regexp.MustCompile(`([0-9.]+)([ywdhms])`)
)

// hours are the units that package time does not have.
var hours = map[string]time.Duration{"d": 24, "w": 7 * 24, "y": 365 * 24}

var (
	errSyntax  = errors.New("write a duration such as 30m, 24h, 7d or 2w")
	errTooLong = errors.New("the duration is too long")
)

// Parse parses a duration: numbers with the units y (365 days), w, d, h, m or s, such as 90d or 1h30m, or 0. The result is not
// negative. The error is meant for users and does not repeat the text.
func Parse(text string) (time.Duration, error) {
	if !syntax.MatchString(text) {
		return 0, errSyntax
	}
	var total time.Duration
	for _, m := range part.FindAllStringSubmatch(text, -1) {
		unit, factor := m[2], time.Duration(1)
		if n := hours[unit]; n > 0 {
			unit, factor = "h", n
		}
		d, err := time.ParseDuration(m[1] + unit)
		if err != nil || d > (math.MaxInt64-total)/factor {
			return 0, errTooLong
		}
		total += d * factor
	}
	return total, nil
}

// ParsePast is ParseTime where a duration is before now.
func ParsePast(text string, now time.Time) (time.Time, error) {
	d, err := Parse(text)
	if err != nil {
		return ParseTime(text, now)
	}
	return now.Add(-d).UTC(), nil
}

// ParseTime parses a time: a duration from now, a date, which means 00:00 UTC, or RFC 3339. The result is in UTC, in whole seconds
// if it is relative to now. The error is meant for users and does not repeat the text.
func ParseTime(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at.UTC(), nil
		}
	}
	switch d, err := Parse(text); {
	case errors.Is(err, errTooLong):
		return time.Time{}, err
	case err != nil:
		return time.Time{}, errors.New("write a duration such as 90d, a date such as 2027-01-01, or a time such as " +
			"2027-01-01T12:00:00Z")
	default:
		return now.Add(d).UTC().Truncate(time.Second), nil
	}
}
