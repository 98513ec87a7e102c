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

// streamed runs a feed of a replica set that would hardly ever look by itself.
func streamed(t *testing.T, r *replica) (*mongofeed.Feed, *feedtest.Harness) {
	t.Helper()
	o := options(t, r.uri())
	o.PollInterval = time.Hour
	f := newFeed(t, o)
	g := feedtest.Run(t, f)
	g.WaitWatched()
	return f, g
}

// A change stream says when to look.
func TestStreamsTell(t *testing.T) {
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
			t.Logf("seen after %s", time.Since(begun).Round(time.Millisecond))
			// The streams are open still, or again.
			r.put(mongofeed.Agents, agent(9))
			r.event(mongofeed.Agents, "insert")
			g.WaitFor(agentKey(9), keys.Allowed)
		})
	}
}

// The time that a conversation writes into its agent makes nobody look, and silence confirms what is known.
func TestStreamsAreNotDisturbed(t *testing.T) {
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
		t.Errorf("%d looks for conversations", got-looks)
	}
	if got := g.Loads(); got != loads {
		t.Errorf("%d loads for conversations", got-loads)
	}
	r.put(mongofeed.Agents, agent(1, is("sources", bson.A{dbRef(oid(3, 3))})))
	r.event(mongofeed.Agents, "update", "sources.0")
	feedtest.Eventually(t, "the change", func() bool { return slices.Equal(g.Store.Get(keyID(1)).Facts.Sources, []string{oid(3, 3).Hex()}) })
}

// A server that does not wait for changes, as some that speak MongoDB's protocol do not, is not asked all the time.
func TestHastyServerIsNotFlooded(t *testing.T) {
	r := newReplica(t)
	r.put(mongofeed.Agents, agent(1))
	r.set(func(r *replica) { r.hasty = true })
	f, g := streamed(t, r)
	before, begun := r.count("getMore"), time.Now()
	for range 5 {
		seen := f.LastConfirmed()
		feedtest.Eventually(t, "a newer confirmation", func() bool { return f.LastConfirmed().After(seen) })
	}
	// Two streams are asked each time.
	if got, limit := r.count("getMore")-before, 2*(int(time.Since(begun)/mongofeed.MinInterval)+2); got > limit {
		t.Errorf("asked %d times within %s, want at most %d", got, time.Since(begun), limit)
	}
	r.put(mongofeed.Agents, agent(2))
	r.event(mongofeed.Agents, "insert")
	g.WaitFor(agentKey(2), keys.Allowed)
}

// Where change streams cannot be used the feed polls, and says so once.
func TestWithoutStreams(t *testing.T) {
	for name, code := range map[string]int32{"not allowed": 13, "not known": 40573, "another server's way": 136} {
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
				t.Errorf("notes: %q and %d others", note, len(notes))
			}
		})
	}
}

// Records are read at one moment where the server can do that, and twice where it cannot.
func TestOneMoment(t *testing.T) {
	for _, c := range []struct {
		name   string
		spoil  func(r *replica)
		levels []string
	}{
		{"5.0 and newer", func(*replica) {}, []string{"snapshot", "snapshot"}},
		{"4.4", func(r *replica) { r.wire = 9 }, []string{"", "", "", ""}},
		{"a server of another make, without sessions", func(r *replica) { r.plain = true }, []string{"", "", "", ""}},
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

// The primary is asked, whatever the address says: only there a key that is gone is gone at once.
func TestPrimaryIsAsked(t *testing.T) {
	r := newReplica(t) // it has no other server
	r.put(mongofeed.Agents, agent(1))
	g := feedtest.Run(t, newFeed(t, options(t, r.uri()+"?readPreference=secondary&maxStalenessSeconds=90")))
	g.WaitWatched()
	if got := g.Reason(agentKey(1)); got != keys.Allowed {
		t.Errorf("the primary's key: %s", got)
	}
}

// A key that moves while the collections are read is not lost between them, at a load nor at a look.
func TestTornReading(t *testing.T) {
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
	feedtest.Eventually(t, "a look", func() bool { return g.Store.Revision() > revision && g.Store.Len() == 2 })
	// A key that was away for one look would have been removed and added: one change more.
	if got := g.Store.Revision() - revision; got != 1 {
		t.Errorf("%d changes of the store, want 1", got)
	}
	if got := g.Reason(agentKey(2)); got != keys.Allowed {
		t.Errorf("after a look: %s", got)
	}
}

// What an operator has to mend is an error that says how, with no keys; a server that has trouble itself is away.
func TestErrorMessages(t *testing.T) {
	for _, c := range []struct {
		name    string
		command string
		code    int32
		want    string
		away    bool
	}{
		{"no rights", "find", 13, "the role read", false},
		{"wrong password", "saslStart", 18, "rejects the user or password", false},
		{"no such name", "find", 73, "the name of the database is not valid", false},
		{"shutting down", "find", 91, "is temporarily unavailable", true},
		{"stepping down", "find", 189, "is temporarily unavailable", true},
		{"something else", "find", 99999, "returned an error (code 99999)", false},
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
			watched := f.Watch(t.Context(), func() { t.Error("something is said to have changed") })
			if watched == nil || !strings.Contains(watched.Error(), c.want) {
				t.Errorf("Watch: %v", watched)
			}
			for _, text := range []string{err.Error(), watched.Error(), f.Name()} {
				if strings.Contains(text, password) || strings.Contains(text, "canary") {
					t.Errorf("it shows what it must not: %s", text)
				}
			}
		})
	}
}

// Rights that are taken away are an operator's matter, but known keys go on.
func TestRightsLostLater(t *testing.T) {
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
		t.Errorf("the error does not say what to do: %s", got)
	}
	r.set(func(r *replica) { delete(r.refuse, "find") })
	g.WaitFor(feedtest.UnknownToken, keys.UnknownToken)
}

// A replica set that is lost while its change stream is silent is noticed as fast as another one.
func TestStreamLost(t *testing.T) {
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

// A server that is there but gives no answer is away, after the time of one answer and not of all.
func TestNoAnswer(t *testing.T) {
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
