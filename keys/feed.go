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

// Tracker is a feed that knows what has changed in it, so that one change among a million keys costs one.
type Tracker interface {
	Feed

	// Changes returns what has changed since the last call of Load or Changes. With ok false it cannot tell, and Load is
	// called instead. The calls come one after the other.
	Changes(ctx context.Context) (delta Delta, ok bool, err error)
}

// Remote is a feed of keys that another system keeps and that may be out of reach. While it is, its last good keys go on to
// count, and a token that nobody knows is neither accepted nor called wrong. Its Load returns a *Stale error with the keys
// when it could read only what it had kept for such a time. Its Watch returns an error as soon as the other system is lost.
type Remote interface {
	Feed

	// Fresh returns when the other system last confirmed that what was loaded is all there is; zero: it never did.
	Fresh() time.Time

	// Patience is how long its last good keys count without it. After that they are forgotten until it is back.
	Patience() time.Duration
}

// Stale says that the keys that came with it are not the newest: they were kept for the time that a Remote is away.
type Stale struct {
	At  time.Time // when they were the newest; zero: nothing was kept, so there are no keys
	Err error     // why the newest could not be read
}

// Error implements error.
func (s *Stale) Error() string {
	if s.At.IsZero() {
		return "there are no keys yet, since nothing was kept from before: " + s.Err.Error()
	}
	return "the keys are those of " + s.At.UTC().Format(time.RFC3339) + ": " + s.Err.Error()
}

// Unwrap returns why.
func (s *Stale) Unwrap() error { return s.Err }

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
