package ownership

import (
	"container/heap"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// ownerKind is an owner and a kind of resource, which have a quota of their own.
type ownerKind struct {
	owner Owner
	kind  Kind
}

// quota holds the resources of one kind that an owner has.
type quota struct {
	ownerKind
	resources *simplelru.LRU[[16]byte, struct{}] // the least recently used is evicted first
	assigned  uint64                             // Index.clock at the last assignment
	index     int                                // in evictionHeap
}

// newQuota returns an empty quota with room for most resources, and one more until the eviction.
func newQuota(owner ownerKind, most int) *quota {
	resources, err := simplelru.NewLRU[[16]byte, struct{}](most+1, nil)
	if err != nil {
		panic(err) // only possible for a size below 1
	}
	return &quota{ownerKind: owner, resources: resources}
}

func (q *quota) add(resource [16]byte, clock uint64) {
	q.resources.Add(resource, struct{}{})
	q.assigned = clock
}

func (q *quota) use(resource [16]byte)    { q.resources.Get(resource) }
func (q *quota) remove(resource [16]byte) { q.resources.Remove(resource) }
func (q *quota) len() int                 { return q.resources.Len() }

func (q *quota) oldest() (resource [16]byte, ok bool) {
	resource, _, ok = q.resources.GetOldest()
	return resource, ok
}

// evictionHeap orders quotas by size, largest first, and quotas of the same size by their last assignment, oldest first. It
// implements heap.Interface.
type evictionHeap []*quota

func (h *evictionHeap) push(q *quota)   { heap.Push(h, q) }
func (h *evictionHeap) fix(q *quota)    { heap.Fix(h, q.index) }
func (h *evictionHeap) remove(q *quota) { heap.Remove(h, q.index) }

// Len implements heap.Interface.
func (h *evictionHeap) Len() int { return len(*h) }

// Less implements heap.Interface.
func (h *evictionHeap) Less(i, j int) bool {
	one, other := (*h)[i], (*h)[j]
	if one.len() != other.len() {
		return one.len() > other.len()
	}
	return one.assigned < other.assigned
}

// Swap implements heap.Interface.
func (h *evictionHeap) Swap(i, j int) {
	(*h)[i], (*h)[j] = (*h)[j], (*h)[i]
	(*h)[i].index, (*h)[j].index = i, j
}

// Push implements heap.Interface.
func (h *evictionHeap) Push(value any) {
	one := value.(*quota)
	one.index = len(*h)
	*h = append(*h, one)
}

// Pop implements heap.Interface.
func (h *evictionHeap) Pop() any {
	last := len(*h) - 1
	one := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return one
}
