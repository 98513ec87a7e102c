// Package usage counts the use of keys without a write per request: when each key was last used, and how many requests it had
// in each of the last hours. The counts are in memory. The owner of a Meter saves changed rows regularly and restores them at
// startup.
package usage

import "time"

// Hours is the number of hours for which requests are counted.
const Hours = 24

// Stats is the usage of one key.
type Stats struct {
	LastUsed    time.Time // last use of the current token, truncated to the minute; zero: never used or not known
	OldLastUsed time.Time // last use of a previous token, truncated to the minute; zero: never used

	// Requests are the numbers of requests in the last 24 clock hours (UTC), the oldest first. The last one is the current,
	// incomplete hour.
	Requests [Hours]uint32
}

// Row is the usage of one key in its stored form.
type Row struct {
	ID                    string
	LastUsed, OldLastUsed int64         // Unix minutes; 0: never used
	Hour                  int64         // Unix hours: the hour of the last element of Requests
	Requests              [Hours]uint32 // the oldest first
}
