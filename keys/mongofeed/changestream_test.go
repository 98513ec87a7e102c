package mongofeed_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/mongofeed"
)

// streamed runs a feed of a replica set with a long poll interval, so that only change streams cause a poll.
func streamed(t *testing.T, r *replica) (*mongofeed.Feed, *feedtest.Harness) {
	t.Helper()
	o := options(t, r.uri())
	o.PollInterval = time.Hour
	f := newFeed(t, o)
	g := feedtest.Run(t, f)
	g.WaitWatched()
	return f, g
}

// A change stream triggers a poll.
func TestChangeStream(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(r *replica)
		want   map[string]keys.Reason
	}{
		{
			"insert", func(r *replica) { r.put(mongofeed.Agents, agent(3)); r.event(mongofeed.Agents, "insert") },
			map[string]keys.Reason{agentKey(3): keys.Allowed},
		},
		{
			"delete", func(r *replica) { r.remove(mongofeed.Agents, agentID(1)); r.event(mongofeed.Agents, "delete") },
			map[string]keys.Reason{agentKey(1): keys.UnknownToken},
		},
		{
			"update", func(r *replica) {
				r.put(mongofeed.Agents, agent(1, is("key", "rotated")))
				r.event(mongofeed.Agents, "update", "updatedAt", "key")
			},
			map[string]keys.Reason{agentKey(1): keys.UnknownToken, "rotated": keys.Allowed},
		},
		{
			"replace", func(r *replica) {
				r.put(mongofeed.Agents, agent(1, is("key", "rotated")))
				r.event(mongofeed.Agents, "replace")
			},
			map[string]keys.Reason{agentKey(1): keys.UnknownToken, "rotated": keys.Allowed},
		},
		{
			"drop, and api_keys count again", func(r *replica) {
				r.put(mongofeed.APIKeys, bson.D{is("_id", agentID(8)), is("key", "old")})
				r.remove(mongofeed.Agents, agentID(1))
				r.remove(mongofeed.Agents, agentID(2))
				r.event(mongofeed.Agents, "drop")
				r.event(mongofeed.Agents, "invalidate")
			},
			map[string]keys.Reason{agentKey(1): keys.UnknownToken, "old": keys.Allowed},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newReplica(t)
			r.put(mongofeed.Agents, agent(1), agent(2))
			_, g := streamed(t, r)
			c.change(r)
			begun := time.Now()
			for token, want := range c.want {
				g.WaitFor(token, want)
			}
			t.Logf("detected after %s", time.Since(begun).Round(time.Millisecond))
			// The streams are still open, or opened again.
			r.put(mongofeed.Agents, agent(9))
			r.event(mongofeed.Agents, "insert")
			g.WaitFor(agentKey(9), keys.Allowed)
		})
	}
}

// The timestamp that a conversation writes to its agent does not cause a poll, and an idle stream confirms the keys.
func TestChangeStreamIgnoresConversations(t *testing.T) {
	r := newReplica(t)
	r.put(mongofeed.Agents, agent(1))
	f, g := streamed(t, r)
	looks, loads := r.count("find"), g.Loads()
	for range 20 {
		r.event(mongofeed.Agents, "update", "lastUsedAt", "updatedAt", "tools.0.key")
	}
	for range 3 {
		before := f.LastConfirmed()
		feedtest.Eventually(t, "a newer confirmation", func() bool { return f.LastConfirmed().After(before) })
	}
	if got := r.count("find"); got != looks {
		t.Errorf("%d polls for conversations", got-looks)
	}
	if got := g.Loads(); got != loads {
		t.Errorf("%d loads for conversations", got-loads)
	}
	r.put(mongofeed.Agents, agent(1, is("sources", bson.A{dbRef(oid(3, 3))})))
	r.event(mongofeed.Agents, "update", "sources.0")
	feedtest.Eventually(t, "the change", func() bool { return slices.Equal(g.Store.Get(keyID(1)).Facts.Sources, []string{oid(3, 3).Hex()}) })
}

// Some servers with MongoDB's protocol do not wait for changes. They are not polled continuously.
func TestChangeStreamWithoutWaiting(t *testing.T) {
	r := newReplica(t)
	r.put(mongofeed.Agents, agent(1))
	r.set(func(r *replica) { r.hasty = true })
	f, g := streamed(t, r)
	before, begun := r.count("getMore"), time.Now()
	for range 5 {
		seen := f.LastConfirmed()
		feedtest.Eventually(t, "a newer confirmation", func() bool { return f.LastConfirmed().After(seen) })
	}
	// Two streams are polled each time.
	if got, limit := r.count("getMore")-before, 2*(int(time.Since(begun)/mongofeed.MinInterval)+2); got > limit {
		t.Errorf("polled %d times within %s, want at most %d", got, time.Since(begun), limit)
	}
	r.put(mongofeed.Agents, agent(2))
	r.event(mongofeed.Agents, "insert")
	g.WaitFor(agentKey(2), keys.Allowed)
}

// If change streams cannot be used, the feed polls, and warns once.
func TestChangeStreamUnavailable(t *testing.T) {
	for name, code := range map[string]int32{"not authorized": 13, "not a replica set": 40573, "other server error": 136} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReplica(t)
			r.put(mongofeed.Agents, agent(1))
			r.set(func(r *replica) { r.refuse["changeStream"] = code })
			notes := make(chan string, 10)
			o := options(t, r.uri())
			o.OnWarning = func(text string) { notes <- text }
			g := feedtest.Run(t, newFeed(t, o))
			r.put(mongofeed.Agents, agent(2))
			g.WaitFor(agentKey(2), keys.Allowed)
			if note := <-notes; len(notes) > 0 || code == 13 && !strings.Contains(note, "the action changeStream on agents") {
				t.Errorf("warnings: %q and %d others", note, len(notes))
			}
		})
	}
}

// Records are read in a snapshot if the server supports that, and otherwise twice.
func TestSnapshotReads(t *testing.T) {
	for _, c := range []struct {
		name   string
		spoil  func(r *replica)
		levels []string
	}{
		{"5.0 and newer", func(*replica) {}, []string{"snapshot", "snapshot"}},
		{"4.4", func(r *replica) { r.wire = 9 }, []string{"", "", "", ""}},
		{"another server, without sessions", func(r *replica) { r.plain = true }, []string{"", "", "", ""}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newReplica(t)
			r.put(mongofeed.APIKeys, bson.D{is("_id", agentID(1)), is("key", "k")})
			r.set(c.spoil)
			if all := feedtest.Load(t, newFeed(t, options(t, r.uri()))); len(all) != 1 {
				t.Errorf("%d keys", len(all))
			}
			r.set(func(r *replica) {
				if !slices.Equal(r.levels, c.levels) {
					t.Errorf("read concerns %q, want %q", r.levels, c.levels)
				}
			})
		})
	}
}

// The primary is read, regardless of the address: a secondary may return a deleted key.
func TestReadsFromPrimary(t *testing.T) {
	r := newReplica(t) // it has no other server
	r.put(mongofeed.Agents, agent(1))
	g := feedtest.Run(t, newFeed(t, options(t, r.uri()+"?readPreference=secondary&maxStalenessSeconds=90")))
	g.WaitWatched()
	if got := g.Reason(agentKey(1)); got != keys.Allowed {
		t.Errorf("the primary's key: %s", got)
	}
}

// A key that moves to another collection during a read is not lost, neither by a load nor by a poll.
func TestNonAtomicRead(t *testing.T) {
	move := func(n int) func(r *replica) {
		return func(r *replica) {
			r.records[mongofeed.APIKeys] = nil
			r.records[mongofeed.Agents] = append(r.records[mongofeed.Agents], agent(n))
		}
	}
	old := func(n int) bson.D { return bson.D{is("_id", agentID(n)), is("key", agentKey(n))} }
	r := newReplica(t)
	r.put(mongofeed.APIKeys, old(1))
	r.set(func(r *replica) { r.wire, r.meanwhile, r.refuse["changeStream"] = 9, move(1), 40573 })
	o := options(t, r.uri())
	o.Collection = mongofeed.Both
	g := feedtest.Run(t, newFeed(t, o))
	if got := g.Reason(agentKey(1)); got != keys.Allowed {
		t.Fatalf("after a load: %s", got)
	}
	r.put(mongofeed.APIKeys, old(2))
	g.WaitFor(agentKey(2), keys.Allowed)
	revision := g.Store.Revision()
	r.set(func(r *replica) { r.meanwhile = move(2) })
	feedtest.Eventually(t, "a poll", func() bool { return g.Store.Revision() > revision && g.Store.Len() == 2 })
	// A key that was missing in one poll would have been removed and added, which is one more change.
	if got := g.Store.Revision() - revision; got != 1 {
		t.Errorf("%d changes of the store, want 1", got)
	}
	if got := g.Reason(agentKey(2)); got != keys.Allowed {
		t.Errorf("after a poll: %s", got)
	}
}

// Errors that an operator has to fix say how, and Load returns no keys with them. Other errors of the server mean that it is
// unavailable.
func TestErrorMessages(t *testing.T) {
	for _, c := range []struct {
		name    string
		command string
		code    int32
		want    string
		away    bool
	}{
		{"missing permissions", "find", 13, "the role read", false},
		{"wrong password", "saslStart", 18, "rejects the user or password", false},
		{"invalid name", "find", 73, "the name of the database is not valid", false},
		{"shutting down", "find", 91, "is temporarily unavailable", true},
		{"stepping down", "find", 189, "is temporarily unavailable", true},
		{"unknown error", "find", 99999, "returned an error (code 99999)", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newReplica(t)
			r.put(mongofeed.Agents, agent(1))
			r.set(func(r *replica) { r.refuse[c.command] = c.code })
			f := newFeed(t, options(t, strings.Replace(r.uri(), "//", "//reader:"+password+"@", 1)))
			if c.command != "saslStart" {
				f = newFeed(t, options(t, r.uri()))
			}
			set, err := f.Load(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) || len(set) != 0 {
				t.Fatalf("Load: %d keys, %v, want an error with %q", len(set), err, c.want)
			}
			if stale := (*keys.StaleError)(nil); errors.As(err, &stale) != c.away {
				t.Errorf("away: %v, want %v: %v", !c.away, c.away, err)
			}
			watched := f.Watch(t.Context(), func() { t.Error("changed was called") })
			if watched == nil || !strings.Contains(watched.Error(), c.want) {
				t.Errorf("Watch: %v", watched)
			}
			for _, text := range []string{err.Error(), watched.Error(), f.Name()} {
				if strings.Contains(text, password) || strings.Contains(text, "canary") {
					t.Errorf("the text contains a secret: %s", text)
				}
			}
		})
	}
}

// If permissions are revoked, an operator has to fix that, but known keys remain valid.
func TestPermissionsRevoked(t *testing.T) {
	r := newReplica(t)
	r.put(mongofeed.Agents, agent(1))
	_, g := streamed(t, r)
	r.set(func(r *replica) { r.refuse["find"] = 13 })
	r.event(mongofeed.Agents, "insert")
	g.WaitFor(feedtest.UnknownToken, keys.FeedUnavailable)
	if got := g.Reason(agentKey(1)); got != keys.Allowed {
		t.Errorf("a known key: %s", got)
	}
	if got := g.Syncer.Status()[0].LastError; !strings.Contains(got, "the role read") {
		t.Errorf("the error does not say how to fix it: %s", got)
	}
	r.set(func(r *replica) { delete(r.refuse, "find") })
	g.WaitFor(feedtest.UnknownToken, keys.UnknownToken)
}

// The outage of a replica set is detected within the timeout, even if its change stream is idle.
func TestOutageDuringChangeStream(t *testing.T) {
	r := newReplica(t)
	r.put(mongofeed.Agents, agent(1))
	_, g := streamed(t, r)
	r.stop()
	begun := time.Now()
	g.WaitFor(feedtest.UnknownToken, keys.FeedUnavailable)
	t.Logf("noticed after %s", time.Since(begun).Round(time.Millisecond))
	if got := g.Reason(agentKey(1)); got != keys.Allowed {
		t.Errorf("a known key: %s", got)
	}
}

// A server that does not respond is unavailable after the timeout of one response, not of all.
func TestResponseTimeout(t *testing.T) {
	r := newReplica(t)
	r.put(mongofeed.Agents, agent(1))
	r.set(func(r *replica) { r.mute = make(chan struct{}) })
	o := options(t, r.uri())
	o.Timeout = time.Second
	ctx, cancel := context.WithTimeout(t.Context(), 8*o.Timeout) // less than reading all may take
	defer cancel()
	_, err := newFeed(t, o).Load(ctx)
	if stale := (*keys.StaleError)(nil); !errors.As(err, &stale) || !strings.Contains(err.Error(), "did not respond within 1s") {
		t.Errorf("Load: %v", err)
	}
}
