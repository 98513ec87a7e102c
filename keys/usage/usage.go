// Package usage counts what keys are used for, without a write per request: when a key was last used, and how many
// requests it had in each of the last hours. The counts live in memory; whoever owns a Meter saves what has changed from
// time to time and restores it at the next start.
package usage

import "time"

// Hours is how many hours back requests are counted.
const Hours = 24

// Use is what is known of one key's use.
type Use struct {
	LastUsed    time.Time // of the current token, to the minute; zero: not known to have been used
	OldLastUsed time.Time // of any token that another has replaced, to the minute; zero: not used

	// Requests are those of the last 24 hours, hour by hour on the clock (UTC), the oldest first; the last is the hour
	// that is under way.
	Requests [Hours]uint32
}

// Row is the use of one key, as it is saved.
type Row struct {
	ID                    string
	LastUsed, OldLastUsed int64         // Unix minutes; 0: not used
	Hour                  int64         // Unix hours: the hour that the last of Requests counts
	Requests              [Hours]uint32 // the oldest first
}
