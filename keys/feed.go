package keys

import (
	"context"
	"time"
)

// Feed is a source of keys. Its methods may be called concurrently.
type Feed interface {
	// Name identifies the feed, such as "file:keys.yaml". It does not change during the life of the feed, contains no secret,
	// and is safe for logs and as a metric label.
	Name() string

	// Load returns all current keys of the feed. After an error the keys of the last load stay in use. The text of an error is
	// shown to operators and contains no secret, token or digest.
	Load(ctx context.Context) ([]Key, error)

	// Watch calls changed whenever a Load may return something new, until ctx ends. changed does not block. Watch returns nil
	// when ctx has ended; after an error it is called again.
	Watch(ctx context.Context, changed func()) error
}

// DeltaFeed is a feed that knows what has changed in it, so that the cost of a change does not grow with the number of keys.
type DeltaFeed interface {
	Feed

	// Changes returns what has changed since the last call of Load or Changes. If ok is false, the changes are unknown and Load
	// is called instead. Calls are never concurrent. A RemoteFeed that is unavailable may return a *StaleError with ok: the changes since
	// the last call are returned by a later one.
	Changes(ctx context.Context) (delta Delta, ok bool, err error)
}

// RemoteFeed is a feed of keys that another system maintains and that may be unavailable. During an outage its last good keys
// remain valid, and an unknown token is neither accepted nor called wrong. If Load can only return cached keys, it returns them
// with a *Stale error. Watch returns an error as soon as the connection to the other system is lost.
type RemoteFeed interface {
	Feed

	// LastConfirmed returns when the other system last confirmed that the loaded keys are current and complete; zero if it never did.
	LastConfirmed() time.Time

	// MaxStale returns how long the last good keys remain valid during an outage. After that they are removed until the system
	// is available again.
	MaxStale() time.Duration
}

// StaleError is the error of a load that returned cached keys, because the Remote is unavailable.
type StaleError struct {
	AsOf time.Time // when the keys were last confirmed; zero: nothing was cached, so there are no keys
	Err  error     // why the current keys could not be read
}

// Error implements error.
func (s *StaleError) Error() string {
	if s.AsOf.IsZero() {
		return "no keys are loaded, since none were cached: " + s.Err.Error()
	}
	return "using the keys cached at " + s.AsOf.UTC().Format(time.RFC3339) + ": " + s.Err.Error()
}

// Unwrap returns Err.
func (s *StaleError) Unwrap() error { return s.Err }

// Observer is notified of the results of loads. Calls for the same feed are never concurrent; calls for different feeds may be.
type Observer interface {
	// FeedLoaded is called after each load that was applied, even if nothing changed. keys is the number of keys that the feed
	// now has.
	FeedLoaded(feed string, keys int, c Change, at time.Time)

	// FeedFailed is called when a load or watch fails with another error than the one before, so that a lasting failure is
	// reported once. FeedStatus counts every failure.
	FeedFailed(feed string, err error, at time.Time)
}

// FeedStatus is the state of one feed.
type FeedStatus struct {
	Name        string
	Keys        int       // number of keys after the last successful load
	LastSuccess time.Time // zero if no load has succeeded
	LastFailure time.Time // zero if no load has failed
	Failures    uint64    // number of failed loads and watches
	LastError   string    // error of the last load or watch, without secrets; empty if it succeeded
	TooStale    bool      // a RemoteFeed was last confirmed longer ago than its MaxStale, so its keys are not used
}
