package activity

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

const (
	// maxRecent is the number of rejections that can be found, those with a known key and those without one each.
	maxRecent = 1000

	// maxCountedKeys is the number of keys whose rejections are counted. The least recently rejected one is forgotten.
	maxCountedKeys = 10_000

	// maxReasons bounds the counts of a key. There are fewer reasons.
	maxReasons = 64
)

// Rejection is a request that the gate has rejected. It contains no token.
type Rejection struct {
	At        time.Time
	RequestID string // as in the response
	Key       string // ID; "": the request had no known key
	Endpoint  string // name of the endpoint, as in metrics
	Reason    string // as in metrics
}

// ReasonCount is the number of requests of a key that were rejected for a reason.
type ReasonCount struct {
	Reason   string
	Requests uint64
	Last     time.Time
}

// Rejections has the recent rejections, and counts those of each key by reason, since the process began. It is safe for concurrent
// use.
type Rejections struct {
	mu      sync.Mutex
	withKey ring // separate, so that a flood of unknown tokens does not displace those of keys
	without ring
	counts  *simplelru.LRU[string, []ReasonCount]
}

func newRejections(recent, countedKeys int) *Rejections {
	return &Rejections{
		withKey: ring{size: recent}, without: ring{size: recent}, counts: newLRU[string, []ReasonCount](countedKeys),
	}
}

// Add records a rejection.
func (r *Rejections) Add(rejection Rejection) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rejection.Key == "" {
		r.without.add(rejection)
		return
	}
	r.withKey.add(rejection)
	counts, _ := r.counts.Get(rejection.Key)
	i := slices.IndexFunc(counts, func(c ReasonCount) bool { return c.Reason == rejection.Reason })
	switch {
	case i >= 0:
		counts[i].Requests++
		counts[i].Last = rejection.At
		return
	case len(counts) < maxReasons:
		r.counts.Add(rejection.Key, append(counts, ReasonCount{rejection.Reason, 1, rejection.At}))
	}
}

// OfKey returns the counts of a key, the most frequent reason first. The caller owns the slice.
func (r *Rejections) OfKey(id string) []ReasonCount {
	r.mu.Lock()
	counts, _ := r.counts.Peek(id)
	counts = slices.Clone(counts)
	r.mu.Unlock()
	slices.SortFunc(counts, func(a, b ReasonCount) int {
		return cmp.Or(cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.Reason, b.Reason))
	})
	return counts
}

// Recent returns at most limit of the recent rejections, the newest first. An empty key or request ID means any.
func (r *Rejections) Recent(key, requestID string, limit int) []Rejection {
	matches := func(x *Rejection) bool {
		return (key == "" || x.Key == key) && (requestID == "" || x.RequestID == requestID)
	}
	r.mu.Lock()
	found := r.without.appendMatching(r.withKey.appendMatching(nil, matches), matches)
	r.mu.Unlock()
	slices.SortStableFunc(found, func(a, b Rejection) int { return b.At.Compare(a.At) })
	return found[:min(len(found), limit)]
}

// ring has the last rejections. Its memory grows with their number.
type ring struct {
	size  int
	items []Rejection
	next  int // position of the oldest item once the ring is full
}

func (r *ring) add(rejection Rejection) {
	if len(r.items) < r.size {
		r.items = append(r.items, rejection)
		return
	}
	r.items[r.next] = rejection
	r.next = (r.next + 1) % r.size
}

// appendMatching appends the matching items, the newest first.
func (r *ring) appendMatching(to []Rejection, matches func(*Rejection) bool) []Rejection {
	for i := len(r.items) - 1; i >= 0; i-- {
		if item := &r.items[(r.next+i)%len(r.items)]; matches(item) {
			to = append(to, *item)
		}
	}
	return to
}
