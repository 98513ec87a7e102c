package activity

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

const (
	// maxOriginsPerKey is the number of origins that are recorded for a key.
	maxOriginsPerKey = 50

	// maxSeenOrigins is the number of origins that are recorded for all keys together.
	maxSeenOrigins = 10_000

	// unusedTime is how long a key was not used on a page before its origins give way to those of a key that has none.
	unusedTime = 24 * time.Hour
	// sweepInterval is the shortest time between two searches for such keys, which look at all origins.
	sweepInterval = time.Minute
)

// OriginUse is the use of a key on the pages of a web origin.
type OriginUse struct {
	Origin      string
	Requests    uint64
	First, Last time.Time
}

// Origins records the web origins that keys are used on, since the process began. A client other than a browser can send any origin, so
// the one with the fewest requests is dropped for a new one once a key has the maximum: a flood of invented origins drops each
// other. It is safe for concurrent use.
type Origins struct {
	perKey, most int

	mu    sync.Mutex
	total int
	byKey map[string]*keyOrigins
	swept time.Time // when dropUnused was called last
}

type keyOrigins struct {
	uses    []OriginUse
	dropped bool
}

func newOrigins(perKey, most int) *Origins {
	return &Origins{perKey: perKey, most: most, byKey: map[string]*keyOrigins{}}
}

// Record records a request with a key. Texts that are not the origin of a page are ignored.
func (o *Origins) Record(key, origin string, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := o.byKey[key]
	if k.count(origin, now) { // browsers send the normal form
		return
	}
	if origin = pageOrigin(origin); origin == "" || k.count(origin, now) {
		return
	}
	if k == nil {
		if o.total >= o.most {
			o.dropUnused(now)
		}
		if o.total >= o.most {
			return
		}
		k = new(keyOrigins)
		o.byKey[key] = k
	}
	if len(k.uses) >= o.perKey || o.total >= o.most {
		k.dropLeastUsed()
		o.total--
	}
	k.uses = append(k.uses, OriginUse{origin, 1, now, now})
	o.total++
}

// dropUnused drops the origins of keys that were not used for unusedTime, such as removed ones. It does so once per sweepInterval.
func (o *Origins) dropUnused(now time.Time) {
	if now.Sub(o.swept) < sweepInterval {
		return
	}
	o.swept = now
	for key, k := range o.byKey {
		if !slices.ContainsFunc(k.uses, func(u OriginUse) bool { return now.Sub(u.Last) < unusedTime }) {
			o.total -= len(k.uses)
			delete(o.byKey, key)
		}
	}
}

// count counts a request from an origin that is recorded, and reports whether it is.
func (k *keyOrigins) count(origin string, now time.Time) bool {
	if k == nil {
		return false
	}
	i := slices.IndexFunc(k.uses, func(u OriginUse) bool { return u.Origin == origin })
	if i < 0 {
		return false
	}
	k.uses[i].Requests++
	k.uses[i].Last = now
	return true
}

// dropLeastUsed drops the origin with the fewest requests, of several the one that was used least recently. There must be one.
func (k *keyOrigins) dropLeastUsed() {
	least := 0
	for i, u := range k.uses {
		if cmp.Or(cmp.Compare(u.Requests, k.uses[least].Requests), u.Last.Compare(k.uses[least].Last)) < 0 {
			least = i
		}
	}
	k.uses = slices.Delete(k.uses, least, least+1)
	k.dropped = true
}

// Of returns the origins that a key was used on, the most frequent first. dropped reports whether there were more than are recorded. The
// caller owns the slice.
func (o *Origins) Of(key string) (uses []OriginUse, dropped bool) {
	o.mu.Lock()
	if k := o.byKey[key]; k != nil {
		uses, dropped = slices.Clone(k.uses), k.dropped
	}
	o.mu.Unlock()
	slices.SortFunc(uses, func(a, b OriginUse) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Origin, b.Origin))
	})
	return uses, dropped
}
