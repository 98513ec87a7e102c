// Package revocation ends work in flight when the key that it was allowed with stops being valid: when the key is revoked, disabled,
// deleted or expired, when its token is rotated, and when its policy no longer allows the client.
package revocation

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// Holder is work in flight that was allowed with a key. Its methods are called with a lock held: they must not block, and must not call the
// Watcher. They may be called from any goroutine.
type Holder interface {
	// StillAllowed reports whether the policy of the key, which may have changed, still allows the work.
	StillAllowed(key *keys.Key) bool

	// Revoked is called once, when the key no longer allows the work.
	Revoked()
}

// Use is a use of a key by a holder. The zero value is not registered. It must not be copied.
type Use struct {
	// Set by Add, before the use is in the table.
	holder Holder
	keyID  string
	token  keys.Digest // zero: the use does not depend on a token of the key

	// Guarded by the mutex of the shard.
	in         bool
	prev, next *Use        // other uses of the key
	timer      *time.Timer // at the time bound of the key or its token; nil: there is none
}

// shards is the number of locks, so that requests of different keys rarely wait for each other.
const shards = 64

// Watcher knows all uses of keys. It follows one store at a time. It is safe for concurrent use. Create one with New.
type Watcher struct {
	store  atomic.Pointer[keys.Store] // nil before the first Follow
	now    func() time.Time
	seed   maphash.Seed
	uses   atomic.Int64
	shards [shards]shard
}

type shard struct {
	mu    sync.Mutex
	first map[string]*Use // by key ID
}

// New returns a Watcher that follows no store yet.
func New() *Watcher {
	w := &Watcher{now: time.Now, seed: maphash.MakeSeed()}
	for i := range w.shards {
		w.shards[i].first = map[string]*Use{}
	}
	return w
}

// Follow switches to a store, and ends the uses that its keys do not allow. It must not be called concurrently with itself.
func (w *Watcher) Follow(store *keys.Store) {
	if before := w.store.Swap(store); before != store {
		store.Listen(w)
	}
	for i := range w.shards {
		w.checkShard(&w.shards[i])
	}
}

// Version identifies the keys that a decision was made with.
type Version struct {
	store    *keys.Store
	revision uint64
}

// VersionOf returns the current version of the keys in a store. Call it before the decision.
func VersionOf(store *keys.Store) Version { return Version{store, store.Revision()} }

// Add registers a use. d is the decision that allowed it, and v the version of the keys before the decision: if they have changed
// since, the use is checked again. It reports whether the use is allowed; if not, it is not registered and Revoked is not called.
// A zero d.Token stands for a use that does not depend on one token of the key.
//
// A store that was created after the followed one is that of a configuration whose server is already serving and that will be followed in
// a moment, or is rejected: its own keys count until then.
func (w *Watcher) Add(u *Use, holder Holder, d keys.Decision, v Version) bool {
	u.holder, u.keyID, u.token = holder, d.Key.ID, d.Token
	s := w.shard(u.keyID)
	s.mu.Lock()
	defer s.mu.Unlock()
	// The use is in the table before the store and its revision are read: a change is either noticed here or by Follow and KeysChanged.
	w.uses.Add(1)
	s.insert(u)
	key, store := d.Key, w.store.Load()
	if v.store != nil && (store == nil || v.store.CreatedAfter(store)) {
		store = v.store
	}
	if store != nil && (store != v.store || store.Revision() != v.revision) {
		if key = w.validIn(store, u); key == nil {
			w.remove(s, u)
			return false
		}
	}
	w.arm(s, u, key)
	return true
}

// Remove ends a use. Revoked is not called after it has returned. It may be called several times, and for a use that was not added.
func (w *Watcher) Remove(u *Use) {
	if u.holder == nil {
		return
	}
	s := w.shard(u.keyID)
	s.mu.Lock()
	defer s.mu.Unlock()
	w.remove(s, u)
}

// Len returns the number of uses.
func (w *Watcher) Len() int { return int(w.uses.Load()) }

// KeysChanged implements keys.Listener.
func (w *Watcher) KeysChanged(out, _ []*keys.Key) {
	for _, key := range out {
		if w.uses.Load() == 0 {
			return
		}
		w.check(key.ID)
	}
}

// check ends the uses of a key that are no longer allowed.
func (w *Watcher) check(keyID string) {
	s := w.shard(keyID)
	s.mu.Lock()
	defer s.mu.Unlock()
	w.checkKey(s, keyID)
}

// checkShard is check for all keys of a shard.
func (w *Watcher) checkShard(s *shard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for keyID := range s.first {
		w.checkKey(s, keyID)
	}
}

// checkKey is check. The caller must hold the mutex of the shard.
func (w *Watcher) checkKey(s *shard, keyID string) {
	for u := s.first[keyID]; u != nil; {
		next := u.next
		w.checkUse(s, u)
		u = next
	}
}

// checkUse ends a use if it is no longer allowed, or else sets its timer. The caller must hold the mutex of the shard.
func (w *Watcher) checkUse(s *shard, u *Use) {
	store := w.store.Load()
	if store == nil {
		return // Follow checks the use
	}
	if key := w.validIn(store, u); key != nil {
		w.arm(s, u, key)
		return
	}
	w.remove(s, u)
	u.holder.Revoked()
}

// validIn returns the key of a use in a store, or nil if it does not allow the use.
func (w *Watcher) validIn(store *keys.Store, u *Use) *keys.Key {
	key := store.Get(u.keyID)
	if key == nil || !key.Decide(u.token, w.now()).Allowed() || !u.holder.StillAllowed(key) {
		return nil
	}
	return key
}

// arm sets the timer to the time bound of the key and its token. The caller must hold the mutex of the shard.
func (w *Watcher) arm(s *shard, u *Use, key *keys.Key) {
	if u.timer != nil {
		u.timer.Stop()
		u.timer = nil
	}
	until := key.ValidUntil(u.token)
	if until.IsZero() {
		return
	}
	u.timer = time.AfterFunc(until.Sub(w.now()), func() { w.expire(s, u) })
}

// expire is called at the time bound of a use. The clock may have been set back meanwhile, and the key may have changed.
func (w *Watcher) expire(s *shard, u *Use) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u.in {
		w.checkUse(s, u)
	}
}

func (w *Watcher) shard(keyID string) *shard {
	return &w.shards[maphash.String(w.seed, keyID)%shards]
}

// insert adds a use. The caller must hold the mutex.
func (s *shard) insert(u *Use) {
	u.in, u.prev, u.next = true, nil, s.first[u.keyID]
	if u.next != nil {
		u.next.prev = u
	}
	s.first[u.keyID] = u
}

// remove removes a use, unless it was removed before. The caller must hold the mutex of the shard.
func (w *Watcher) remove(s *shard, u *Use) {
	if !u.in {
		return
	}
	u.in = false
	if u.timer != nil {
		u.timer.Stop()
		u.timer = nil
	}
	if u.next != nil {
		u.next.prev = u.prev
	}
	switch {
	case u.prev != nil:
		u.prev.next = u.next
	case u.next != nil:
		s.first[u.keyID] = u.next
	default:
		delete(s.first, u.keyID)
	}
	u.prev, u.next = nil, nil
	w.uses.Add(-1)
}
