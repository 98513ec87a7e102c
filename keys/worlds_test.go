package keys

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A world is a feed of which a test knows everything: the keys that there are, and those that the gate was told of.
type world struct {
	name    string
	tracks  bool // Changes tells what is new, most of the time
	remote  bool
	random  *rand.Rand
	truth   map[string]Key // what there is
	told    map[string]Key // what the last reading that came through has given
	fresh   time.Time
	kept    map[string]Key // of a remote world: what serves while it is away
	failing error          // what is wrong with it; a remote one is away then, or refuses the password
}

const worldPatience = time.Hour

var (
	errWorldAway   = errors.New("away")
	errWorldRights = errors.New("the password is wrong")
)

func (w *world) Name() string                              { return w.name }
func (w *world) Watch(ctx context.Context, _ func()) error { <-ctx.Done(); return nil }
func (w *world) Fresh() time.Time                          { return w.fresh }
func (w *world) Patience() time.Duration                   { return worldPatience }

func (w *world) Load(ctx context.Context) ([]Key, error) {
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case w.remote && errors.Is(w.failing, errWorldAway):
		if w.told == nil {
			w.told = w.kept
		}
		return slices.Collect(maps.Values(w.kept)), &Stale{At: w.fresh, Err: w.failing}
	case w.failing != nil:
		return nil, w.failing
	}
	w.read()
	return slices.Collect(maps.Values(w.truth)), nil
}

// read notes that the world gives what there is.
func (w *world) read() {
	w.told = maps.Clone(w.truth)
	w.kept, w.fresh = w.told, time.Now()
}

// delta is what the gate has not been told of. It is false now and then, as after a connection that was lost.
func (w *world) delta(ctx context.Context) (d Delta, ok bool, err error) {
	if ctx.Err() != nil {
		return Delta{}, false, ctx.Err()
	}
	if w.failing != nil || w.random.IntN(4) == 0 {
		return Delta{}, false, nil
	}
	for id, k := range w.truth {
		if old, there := w.told[id]; !there || !old.same(&k) {
			d.Put = append(d.Put, k)
		}
	}
	for id := range w.told {
		if _, there := w.truth[id]; !there {
			d.Gone = append(d.Gone, id)
		}
	}
	w.read()
	return d, true, nil
}

// Worlds as the syncer sees them.
type (
	plainWorld    struct{ w *world }
	trackingWorld struct{ plainWorld }
	remoteWorld   struct{ *world }
)

func (p plainWorld) Name() string                                        { return p.w.Name() }
func (p plainWorld) Load(ctx context.Context) ([]Key, error)             { return p.w.Load(ctx) }
func (p plainWorld) Watch(ctx context.Context, f func()) error           { return p.w.Watch(ctx, f) }
func (p trackingWorld) Changes(ctx context.Context) (Delta, bool, error) { return p.w.delta(ctx) }
func (r remoteWorld) Changes(ctx context.Context) (Delta, bool, error)   { return r.world.delta(ctx) }

func (w *world) feed() Feed {
	switch {
	case w.remote:
		return remoteWorld{w}
	case w.tracks:
		return trackingWorld{plainWorld{w}}
	default:
		return plainWorld{w}
	}
}

// change makes, changes, rotates or removes a key. The ids and tokens of all worlds come from one small pool, so that they
// are in conflict often.
func (w *world) change() {
	id := fmt.Sprintf("key-%d", w.random.IntN(6))
	k, there := w.truth[id]
	if there && w.random.IntN(3) == 0 {
		delete(w.truth, id)
		return
	}
	if !there || w.random.IntN(3) == 0 {
		k = sourceKey(id)
		k.Digest = DigestOf(poolToken(w.random.IntN(poolTokens)))
	}
	k.State = State(w.random.IntN(3)) // active, disabled, revoked
	for other, o := range w.truth {
		if other != id && o.Digest == k.Digest && w.random.IntN(4) != 0 {
			return // mostly without a conflict within the world itself
		}
	}
	w.truth[id] = k
}

const poolTokens = 8

func poolToken(n int) string { return tokenOf(fmt.Sprintf("pool-%d", n)) }

// history is one random life of a gate with three feeds.
type history struct {
	t        *testing.T
	random   *rand.Rand
	worlds   []*world
	store    *Store
	syncer   *Syncer
	verifier *Verifier
	inForce  map[string]map[string]Key // by feed: all that may count
	steps    []string
}

// Whatever happens to the feeds and in whatever order: no token counts but as a feed has told of it when it was read last,
// also while other keys of the feed are in conflict with those of others; what a remote feed has told counts for its
// patience and no longer; and once there are no conflicts every key counts.
func TestRandomHistoriesOfFeeds(t *testing.T) {
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			h := &history{t: t, random: random, store: NewStore(), inForce: map[string]map[string]Key{}}
			for _, w := range []world{{name: "file"}, {name: "store", tracks: true}, {name: "remote", remote: true}} {
				w.random, w.truth = random, map[string]Key{}
				h.worlds = append(h.worlds, &w)
			}
			h.verifier = newVerifier(t, h.store, CacheConfig{})
			defer func(c *cache) { // its goroutines have to end with the bubble
				c.known.Close()
				c.unknown.Close()
			}(h.verifier.cache.Load())
			h.run()
			if t.Failed() {
				t.Logf("seed %d:\n%s", seed, h.steps)
			}
		})
		if t.Failed() {
			return
		}
	}
}

func (h *history) run() {
	var feeds []Feed
	for _, w := range h.worlds {
		feeds = append(feeds, w.feed())
	}
	h.syncer = NewSyncer(h.store, feeds, nil)
	if h.random.IntN(2) == 0 { // a start without the remote one, with what was kept, or with nothing
		remote := h.worlds[2]
		remote.failing = errWorldAway
		if h.random.IntN(2) == 0 {
			k := sourceKey("key-0")
			k.Digest = DigestOf(poolToken(0))
			remote.kept, remote.fresh = map[string]Key{"key-0": k}, time.Now().Add(-worldPatience/2)
		}
	}
	if err := h.syncer.LoadAll(h.t.Context()); err != nil {
		h.t.Fatalf("LoadAll: %v", err)
	}
	for _, w := range h.worlds {
		h.inForce[w.name] = w.told
	}
	for range 60 {
		h.step()
		h.check()
		if h.t.Failed() {
			return
		}
	}
	h.settle()
}

func (h *history) step() {
	w := h.worlds[h.random.IntN(len(h.worlds))]
	switch h.random.IntN(8) {
	case 0, 1, 2:
		w.change()
		h.steps = append(h.steps, "change "+w.name+"\n")
	case 3:
		if w.failing = nil; h.random.IntN(2) == 0 {
			w.failing = errWorldRights
			if w.remote && h.random.IntN(2) == 0 {
				w.failing = errWorldAway
			}
		}
		h.steps = append(h.steps, fmt.Sprintf("%s: %v\n", w.name, w.failing))
	case 4:
		time.Sleep(worldPatience / 3)
		h.steps = append(h.steps, "a while\n")
	default:
		h.sync(w, h.random.IntN(5) == 0)
	}
}

// sync reads a feed, now and then for a caller who has hung up.
func (h *history) sync(w *world, cancelled bool) {
	ctx, cancel := context.WithCancel(h.t.Context())
	defer cancel()
	if cancelled {
		cancel()
	}
	err := h.syncer.Sync(ctx, w.name)
	h.steps = append(h.steps, fmt.Sprintf("sync %s (cancelled %v): %v\n", w.name, cancelled, err))
	switch {
	case cancelled && err != nil:
		// nothing is known; what was in force may still be
	case w.remote && w.failing != nil:
		if time.Since(w.fresh) >= worldPatience {
			h.inForce[w.name] = nil
		}
	case w.failing != nil:
	case err == nil || w.tracks || w.remote: // a plain feed in conflict keeps what it had
		h.inForce[w.name] = w.told
	}
}

// check asks for every token.
func (h *history) check() {
	h.t.Helper()
	for n := range poolTokens {
		token := poolToken(n)
		d := h.verifier.Verify(token, time.Now())
		if d.Key == nil {
			if (d.Reason == FeedAway) != h.store.unsure.Load() || d.Reason != FeedAway && d.Reason != Unknown {
				h.t.Errorf("token %d: %s", n, d.Reason)
			}
			continue
		}
		told, there := h.inForce[d.Key.Feed][d.Key.ID]
		switch {
		case !there || told.Digest != DigestOf(token):
			h.t.Errorf("token %d is %s as key %s of %s, which has no such key", n, d.Reason, d.Key.ID, d.Key.Feed)
		case told.Standing(time.Now()) != d.Reason:
			h.t.Errorf("token %d is %s as key %s of %s, which says %s", n, d.Reason, d.Key.ID, d.Key.Feed, told.State)
		}
	}
	h.verifier.settle()
}

// settle ends all conflicts and looks whether everything counts.
func (h *history) settle() {
	seen, digests := map[string]bool{}, map[Digest]bool{}
	for _, w := range h.worlds {
		w.failing = nil
		for _, id := range slices.Sorted(maps.Keys(w.truth)) {
			if d := w.truth[id].Digest; seen[id] || digests[d] {
				delete(w.truth, id)
			} else {
				seen[id], digests[d] = true, true
			}
		}
	}
	for range 2 { // a feed that lets go of a key may come after the one that wants it
		for _, w := range h.worlds {
			h.sync(w, false)
		}
	}
	h.check()
	for _, w := range h.worlds {
		for id, k := range w.truth {
			if d := h.verifier.find(&k.Digest); d == nil || d.ID != id || d.Feed != w.name || d.State != k.State {
				h.t.Errorf("at the end key %s of %s is missing or another one", id, w.name)
			}
		}
	}
	if n := h.store.Len(); n != len(seen) {
		h.t.Errorf("at the end there are %d keys, want %d", n, len(seen))
	}
	for _, s := range h.syncer.Status() {
		if s.LastError != "" || s.Keys != len(h.inForce[s.Name]) {
			h.t.Errorf("at the end: %+v, want %d keys", s, len(h.inForce[s.Name]))
		}
	}
}
