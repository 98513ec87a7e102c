package mongofeed

import (
	"context"
	"testing"

	"github.com/docsgate/docsgate/keys/dbfeed"
	"github.com/docsgate/docsgate/keys/docsgptkeys"
)

// MinInterval is the minimum interval between two polls of the change streams.
const MinInterval = dbfeed.MinInterval

// Poller connects a feed and reads all records. poll reads the changes, of which there must be none; end closes the connection.
func Poller(ctx context.Context, t testing.TB, f *Feed) (poll, end func()) {
	t.Helper()
	ctx, c, err := f.connect(ctx)
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	agents, at, err := c.ReadAll(ctx)
	if err != nil {
		t.Fatalf("reading: %v", err)
	}
	cache := docsgptkeys.NewAgentCache(docsgptkeys.AgentCacheOptions{Feed: f.Name()})
	cache.Load(agents, at)
	return func() {
		if pending, ok, err := c.ReadChanges(ctx, cache); err != nil || pending || !ok {
			t.Fatalf("polling: %v, %v, %v", pending, ok, err)
		}
	}, c.Close
}
