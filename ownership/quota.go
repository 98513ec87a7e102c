package ownership

import (
	"container/heap"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// ownerKind is somebody who has things of one kind.
type ownerKind struct {
	owner Owner
	kind  Kind
}

// quota is what a holder has.
type quota struct {
	ownerKind
	things *simplelru.LRU[[16]byte, struct{}] // the longest unused goes first
	given  uint64                             // when it was given something last
	place  int                                // in holdings
}

// newHolding returns an empty holding for up to most things, and one that is on its way.
func newHolding(who ownerKind, most int) *quota {
	things, err := simplelru.NewLRU[[16]byte, struct{}](most+1, nil)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &quota{ownerKind: who, things: things}
}

func (h *quota) add(thing [16]byte, turn uint64) {
	h.things.Add(thing, struct{}{})
	h.given = turn
}

func (h *quota) use(thing [16]byte)    { h.things.Get(thing) }
func (h *quota) remove(thing [16]byte) { h.things.Remove(thing) }
func (h *quota) len() int              { return h.things.Len() }

func (h *quota) oldest() (thing [16]byte, ok bool) {
	thing, _, ok = h.things.GetOldest()
	return thing, ok
}

// evictionHeap are ordered so that the largest stands first, and of several as large the one that was given nothing for
// longest. They implement heap.Interface.
type evictionHeap []*quota

func (a *evictionHeap) push(h *quota)   { heap.Push(a, h) }
func (a *evictionHeap) fix(h *quota)    { heap.Fix(a, h.place) }
func (a *evictionHeap) remove(h *quota) { heap.Remove(a, h.place) }

// Len implements heap.Interface.
func (a *evictionHeap) Len() int { return len(*a) }

// Less implements heap.Interface.
func (a *evictionHeap) Less(i, j int) bool {
	one, other := (*a)[i], (*a)[j]
	if one.len() != other.len() {
		return one.len() > other.len()
	}
	return one.given < other.given
}

// Swap implements heap.Interface.
func (a *evictionHeap) Swap(i, j int) {
	(*a)[i], (*a)[j] = (*a)[j], (*a)[i]
	(*a)[i].place, (*a)[j].place = i, j
}

// Push implements heap.Interface.
func (a *evictionHeap) Push(h any) {
	one := h.(*quota)
	one.place = len(*a)
	*a = append(*a, one)
}

// Pop implements heap.Interface.
func (a *evictionHeap) Pop() any {
	last := len(*a) - 1
	one := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	return one
}
