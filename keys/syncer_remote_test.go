package keys

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// outage is a RemoteFeed whose database was last read at a given time.
type outage struct {
	fakeFeed
	confirmed time.Time
}

func (o *outage) LastConfirmed() time.Time { return o.confirmed }
func (*outage) MaxStale() time.Duration    { return time.Hour }

// TestTooStale checks when the status of a feed says that its keys are not used any more.
func TestTooStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		feed := &outage{fakeFeed: fakeFeed{name: "remote"}}
		store := NewStore()
		s := NewSyncer(store, []Feed{feed}, nil)
		sync := func(step string, err error, wantKeys int, wantTooStale bool) {
			t.Helper()
			if err == nil {
				feed.confirmed = time.Now()
				feed.give(nil, sourceKey("a"))
			} else {
				feed.give(err)
			}
			_ = s.Sync(t.Context(), "remote")
			if got := s.Status()[0]; got.Keys != wantKeys || got.TooStale != wantTooStale || store.Len() != wantKeys {
				t.Errorf("%s: status %+v and %d keys, want %d keys, too stale %v", step, got, store.Len(), wantKeys, wantTooStale)
			}
		}
		down := errors.New("the database is down")
		sync("never read", down, 0, false)
		sync("read", nil, 1, false)
		time.Sleep(59 * time.Minute)
		sync("within MaxStale", down, 1, false)
		time.Sleep(time.Minute)
		sync("after MaxStale", down, 0, true)
		sync("read again", nil, 1, false)
	})
}
