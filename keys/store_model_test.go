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

// A model is a simulated feed: the test knows its current keys and those that it has reported.
type model struct {
	name      string
	tracks    bool // Changes knows the changes, most of the time
	remote    bool
	random    *rand.Rand
	truth     map[string]Key // the current keys
	reported  map[string]Key // the keys of the last successful load or delta
	confirmed time.Time
	cached    map[string]Key // of a remote model: the cached keys, used during an outage
	failing   error          // the current error; a remote model is unavailable or rejects the password
}

const modelMaxStale = time.Hour

var (
	errModelUnavailable = errors.New("unavailable")
	errModelPassword    = errors.New("the password is wrong")
)

func (m *model) Name() string                              { return m.name }
func (m *model) Watch(ctx context.Context, _ func()) error { <-ctx.Done(); return nil }
func (m *model) LastConfirmed() time.Time                  { return m.confirmed }
func (m *model) MaxStale() time.Duration                   { return modelMaxStale }

func (m *model) Load(ctx context.Context) ([]Key, error) {
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case m.remote && errors.Is(m.failing, errModelUnavailable):
		if m.reported == nil {
			m.reported = m.cached
		}
		return slices.Collect(maps.Values(m.cached)), &StaleError{AsOf: m.confirmed, Err: m.failing}
	case m.failing != nil:
		return nil, m.failing
	}
	m.read()
	return slices.Collect(maps.Values(m.truth)), nil
}

// read records that all current keys are reported.
func (m *model) read() {
	m.reported = maps.Clone(m.truth)
	m.cached, m.confirmed = m.reported, time.Now()
}

// delta returns the changes since the last report. ok is false now and then, as after a lost connection.
func (m *model) delta(ctx context.Context) (d Delta, ok bool, err error) {
	if ctx.Err() != nil {
		return Delta{}, false, ctx.Err()
	}
	if m.failing != nil || m.random.IntN(4) == 0 {
		return Delta{}, false, nil
	}
	for id, k := range m.truth {
		if old, exists := m.reported[id]; !exists || !old.equal(&k) {
			d.Upserted = append(d.Upserted, k)
		}
	}
	for id := range m.reported {
		if _, exists := m.truth[id]; !exists {
			d.Deleted = append(d.Deleted, id)
		}
	}
	m.read()
	return d, true, nil
}

// Models as the syncer sees them.
type (
	fullFeed   struct{ m *model }
	deltaFeed  struct{ fullFeed }
	remoteFeed struct{ *model }
)

func (f fullFeed) Name() string                                       { return f.m.Name() }
func (f fullFeed) Load(ctx context.Context) ([]Key, error)            { return f.m.Load(ctx) }
func (f fullFeed) Watch(ctx context.Context, changed func()) error    { return f.m.Watch(ctx, changed) }
func (f deltaFeed) Changes(ctx context.Context) (Delta, bool, error)  { return f.m.delta(ctx) }
func (f remoteFeed) Changes(ctx context.Context) (Delta, bool, error) { return f.model.delta(ctx) }

func (m *model) feed() Feed {
	switch {
	case m.remote:
		return remoteFeed{m}
	case m.tracks:
		return deltaFeed{fullFeed{m}}
	default:
		return fullFeed{m}
	}
}

// change creates, changes, rotates or removes a key. The IDs and tokens of all models come from one small pool, so conflicts
// are frequent.
func (m *model) change() {
	id := fmt.Sprintf("key-%d", m.random.IntN(6))
	k, exists := m.truth[id]
	if exists && m.random.IntN(3) == 0 {
		delete(m.truth, id)
		return
	}
	if !exists || m.random.IntN(3) == 0 {
		k = sourceKey(id)
		k.Digest = DigestOf(poolToken(m.random.IntN(poolTokens)))
	}
	k.State = State(m.random.IntN(3)) // active, disabled, revoked
	for other, o := range m.truth {
		if other != id && o.Digest == k.Digest && m.random.IntN(4) != 0 {
			return // mostly avoid a conflict within the model itself
		}
	}
	m.truth[id] = k
}

const poolTokens = 8

func poolToken(n int) string { return tokenOf(fmt.Sprintf("pool-%d", n)) }

// opSequence is a random sequence of operations on a gate with three feeds.
type opSequence struct {
	t        *testing.T
	random   *rand.Rand
	models   []*model
	store    *Store
	syncer   *Syncer
	verifier *Verifier
	expected map[string]map[string]Key // by feed: all keys that may be valid
	steps    []string
}

// For any sequence of operations on the feeds: a token is valid only as its feed reported it at the last load, even during
// conflicts with other feeds; keys of a remote feed are valid during an outage until its max stale time ends; and without
// conflicts every key is valid.
func TestRandomFeedOperations(t *testing.T) {
	for seed := range uint64(100) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 7))
			ops := &opSequence{t: t, random: random, store: NewStore(), expected: map[string]map[string]Key{}}
			for _, m := range []model{{name: "file"}, {name: "store", tracks: true}, {name: "remote", remote: true}} {
				m.random, m.truth = random, map[string]Key{}
				ops.models = append(ops.models, &m)
			}
			ops.verifier = newVerifier(t, ops.store, CacheConfig{})
			defer func(c *cache) { // its goroutines must end with the bubble
				c.known.Close()
				c.unknown.Close()
			}(ops.verifier.cache.Load())
			ops.run()
			if t.Failed() {
				t.Logf("seed %d:\n%s", seed, ops.steps)
			}
		})
		if t.Failed() {
			return
		}
	}
}

func (ops *opSequence) run() {
	var feeds []Feed
	for _, m := range ops.models {
		feeds = append(feeds, m.feed())
	}
	ops.syncer = NewSyncer(ops.store, feeds, nil)
	if ops.random.IntN(2) == 0 { // a cold start during an outage of the remote feed, with or without cached keys
		remote := ops.models[2]
		remote.failing = errModelUnavailable
		if ops.random.IntN(2) == 0 {
			k := sourceKey("key-0")
			k.Digest = DigestOf(poolToken(0))
			remote.cached, remote.confirmed = map[string]Key{"key-0": k}, time.Now().Add(-modelMaxStale/2)
		}
	}
	if err := ops.syncer.LoadAll(ops.t.Context()); err != nil {
		ops.t.Fatalf("LoadAll: %v", err)
	}
	for _, m := range ops.models {
		ops.expected[m.name] = m.reported
	}
	for range 60 {
		ops.step()
		ops.check()
		if ops.t.Failed() {
			return
		}
	}
	ops.settle()
}

func (ops *opSequence) step() {
	m := ops.models[ops.random.IntN(len(ops.models))]
	switch ops.random.IntN(8) {
	case 0, 1, 2:
		m.change()
		ops.steps = append(ops.steps, "change "+m.name+"\n")
	case 3:
		if m.failing = nil; ops.random.IntN(2) == 0 {
			m.failing = errModelPassword
			if m.remote && ops.random.IntN(2) == 0 {
				m.failing = errModelUnavailable
			}
		}
		ops.steps = append(ops.steps, fmt.Sprintf("%s: %v\n", m.name, m.failing))
	case 4:
		time.Sleep(modelMaxStale / 3)
		ops.steps = append(ops.steps, "time passes\n")
	default:
		ops.sync(m, ops.random.IntN(5) == 0)
	}
}

// sync loads a feed, sometimes for a caller that has canceled.
func (ops *opSequence) sync(m *model, canceled bool) {
	ctx, cancel := context.WithCancel(ops.t.Context())
	defer cancel()
	if canceled {
		cancel()
	}
	err := ops.syncer.Sync(ctx, m.name)
	ops.steps = append(ops.steps, fmt.Sprintf("sync %s (canceled %v): %v\n", m.name, canceled, err))
	switch {
	case canceled && err != nil:
		// the result is unknown; the previous keys may still be valid
	case m.remote && m.failing != nil:
		if time.Since(m.confirmed) >= modelMaxStale {
			ops.expected[m.name] = nil
		}
	case m.failing != nil:
	case err == nil || m.tracks || m.remote: // a full feed in conflict keeps its previous keys
		ops.expected[m.name] = m.reported
	}
}

// check verifies every token.
func (ops *opSequence) check() {
	ops.t.Helper()
	for n := range poolTokens {
		token := poolToken(n)
		d := ops.verifier.Verify(token, time.Now())
		if d.Key == nil {
			if (d.Reason == FeedUnavailable) != ops.store.anyFeedDown.Load() || d.Reason != FeedUnavailable && d.Reason != UnknownToken {
				ops.t.Errorf("token %d: %s", n, d.Reason)
			}
			continue
		}
		reported, exists := ops.expected[d.Key.Feed][d.Key.ID]
		switch {
		case !exists || reported.Digest != DigestOf(token):
			ops.t.Errorf("token %d is %s as key %s of %s, which has not reported such a key", n, d.Reason, d.Key.ID, d.Key.Feed)
		case reported.Status(time.Now()) != d.Reason:
			ops.t.Errorf("token %d is %s as key %s of %s, which says %s", n, d.Reason, d.Key.ID, d.Key.Feed, reported.State)
		}
	}
	ops.verifier.settle()
}

// settle resolves all conflicts and checks that every key is valid.
func (ops *opSequence) settle() {
	ids, digests := map[string]bool{}, map[Digest]bool{}
	for _, m := range ops.models {
		m.failing = nil
		for _, id := range slices.Sorted(maps.Keys(m.truth)) {
			if d := m.truth[id].Digest; ids[id] || digests[d] {
				delete(m.truth, id)
			} else {
				ids[id], digests[d] = true, true
			}
		}
	}
	for range 2 { // the feed that removes a key may come after the feed that adds it
		for _, m := range ops.models {
			ops.sync(m, false)
		}
	}
	ops.check()
	for _, m := range ops.models {
		for id, k := range m.truth {
			if d := ops.verifier.find(&k.Digest); d == nil || d.ID != id || d.Feed != m.name || d.State != k.State {
				ops.t.Errorf("at the end key %s of %s is missing or differs", id, m.name)
			}
		}
	}
	if n := ops.store.Len(); n != len(ids) {
		ops.t.Errorf("at the end there are %d keys, want %d", n, len(ids))
	}
	for _, s := range ops.syncer.Status() {
		if s.LastError != "" || s.Keys != len(ops.expected[s.Name]) {
			ops.t.Errorf("at the end: %+v, want %d keys", s, len(ops.expected[s.Name]))
		}
	}
}
