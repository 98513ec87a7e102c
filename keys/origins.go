package keys

import (
	"sync/atomic"

	"github.com/docsgate/docsgate/policy"
)

// Origins is the union of the web origins that the keys of a store may be used on. Browsers ask for it in preflights, which have
// no token. Keys of all states are in it, so that pages can read why a key is rejected; secret keys, which have no origins, allow
// any, so that their use in a page is noticed. Create one with NewOrigins. It is safe for concurrent use.
type Origins struct {
	store        *Store
	unrestricted atomic.Int64 // keys without origins
	set          policy.OriginSet
}

// NewOrigins returns the union for a store, and keeps it up to date.
func NewOrigins(store *Store) *Origins {
	o := &Origins{store: store}
	store.Listen(o)
	return o
}

// KeysChanged implements Listener.
func (o *Origins) KeysChanged(out, in []*Key) {
	for _, k := range in { // first, so that the origins of an updated key stay in the union
		if k.restrictsOrigins() {
			o.set.Add(k.Policy.Origins)
		} else {
			o.unrestricted.Add(1)
		}
	}
	for _, k := range out {
		if k.restrictsOrigins() {
			o.set.Remove(k.Policy.Origins)
		} else {
			o.unrestricted.Add(-1)
		}
	}
}

func (k *Key) restrictsOrigins() bool { return k.Policy != nil && len(k.Policy.Origins) > 0 }

// AllowAny reports whether any origin is in the union: a key has no origins, or "*". While keys may be missing, since none or not all
// are loaded, it is true, too: the union only decides which pages can read error responses.
func (o *Origins) AllowAny() bool {
	return o.unrestricted.Load() > 0 || o.set.AllowsAny() || o.store.Len() == 0 || !o.store.Ready() || o.store.anyFeedDown.Load()
}

// Allow reports whether a value of the header Origin is in the union.
func (o *Origins) Allow(origin string) bool { return o.AllowAny() || o.set.Allows(origin) }
