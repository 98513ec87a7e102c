package mongofeed

import (
	"context"
	"testing"
)

// RestTime is the shortest time between two questions for changes.
const RestTime = minInterval

// Looker connects a feed, reads everything, and returns what looks again and what ends the connection.
func Looker(ctx context.Context, t testing.TB, f *Feed) (look, end func()) {
	t.Helper()
	ctx, l, err := f.connect(ctx)
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	if _, err := f.poll(ctx, l, true); err != nil {
		t.Fatalf("reading: %v", err)
	}
	f.cache.Changes() // all of them
	return func() {
		if pending, err := f.poll(ctx, l, false); err != nil || pending {
			t.Fatalf("looking: %v, %v", pending, err)
		}
	}, l.close
}
