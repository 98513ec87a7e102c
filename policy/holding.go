package policy

import (
	"container/heap"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// holder is somebody who has things of one kind.
type holder struct {
	owner Owner
	kind  Kind
}

// holding is what a holder has.
type holding struct {
	holder
	things *simplelru.LRU[[16]byte, struct{}] // the longest unused goes first
	given  uint64                             // when it was given something last
	place  int                                // in holdings
}

// newHolding returns an empty holding for up to most things, and one that is on its way.
func newHolding(who holder, most int) *holding {
	things, err := simplelru.NewLRU[[16]byte, struct{}](most+1, nil)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &holding{holder: who, things: things}
}

func (h *holding) add(thing [16]byte, turn uint64) {
	h.things.Add(thing, struct{}{})
	h.given = turn
}

func (h *holding) use(thing [16]byte)    { h.things.Get(thing) }
func (h *holding) remove(thing [16]byte) { h.things.Remove(thing) }
func (h *holding) len() int              { return h.things.Len() }

func (h *holding) oldest() (thing [16]byte, ok bool) {
	thing, _, ok = h.things.GetOldest()
	return thing, ok
}

// holdings are ordered so that the largest stands first, and of several as large the one that was given nothing for
// longest. They implement heap.Interface.
type holdings []*holding

func (a *holdings) came(h *holding)  { heap.Push(a, h) }
func (a *holdings) moved(h *holding) { heap.Fix(a, h.place) }
func (a *holdings) left(h *holding)  { heap.Remove(a, h.place) }

// Len implements heap.Interface.
func (a *holdings) Len() int { return len(*a) }

// Less implements heap.Interface.
func (a *holdings) Less(i, j int) bool {
	one, other := (*a)[i], (*a)[j]
	if one.len() != other.len() {
		return one.len() > other.len()
	}
	return one.given < other.given
}

// Swap implements heap.Interface.
func (a *holdings) Swap(i, j int) {
	(*a)[i], (*a)[j] = (*a)[j], (*a)[i]
	(*a)[i].place, (*a)[j].place = i, j
}

// Push implements heap.Interface.
func (a *holdings) Push(h any) {
	one := h.(*holding)
	one.place = len(*a)
	*a = append(*a, one)
}

// Pop implements heap.Interface.
func (a *holdings) Pop() any {
	last := len(*a) - 1
	one := (*a)[last]
	(*a)[last] = nil
	*a = (*a)[:last]
	return one
}
