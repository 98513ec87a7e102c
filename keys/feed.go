package keys

import (
	"context"
	"time"
)

// Feed is a place that keys come from. Its methods may be called from several goroutines.
type Feed interface {
	// Name tells feeds apart, such as "file:keys.yaml". It is the same for the life of the feed, and safe for logs and as
	// a label of metrics: it holds no secret.
	Name() string

	// Load returns all keys of the feed as they are now. After an error the keys that were loaded before stay in use. The
	// text of an error is shown to operators and holds no secret, token or digest.
	Load(ctx context.Context) ([]Key, error)

	// Watch calls changed whenever a Load may bring something new, until ctx ends. changed does not block. Watch returns
	// nil when ctx has ended; after an error it is started again.
	Watch(ctx context.Context, changed func()) error
}

// Observer hears how feeds are doing. Calls for one feed come one after the other, for different feeds perhaps at once.
type Observer interface {
	// FeedLoaded is called after each load that was applied, also when it changed nothing. keys is the number of keys
	// that the feed now has.
	FeedLoaded(feed string, keys int, c Change, at time.Time)

	// FeedFailed is called when a load failed for another reason than the last one did, so that an operator reads about
	// one fault once. Status counts every failure.
	FeedFailed(feed string, err error, at time.Time)
}

// FeedStatus is how one feed is doing.
type FeedStatus struct {
	Name        string
	Keys        int       // keys of the last good load
	LastSuccess time.Time // zero if it was never loaded
	LastFailure time.Time // zero if it never failed
	Failures    uint64    // failed loads and watches so far
	LastError   string    // of the last load or watch, without secrets; empty if that went well
}
