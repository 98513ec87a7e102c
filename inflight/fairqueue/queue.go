// Package fairqueue orders waiting requests so that no key and no visitor can delay the others by sending many: by deficit round robin
// among the keys, and then among the visitors of a key.
//
//   - [Queue] holds the items of all keys.
//   - [Key] is the share of one key in a queue.
//   - [Item] is one waiting request.
//
// In a turn, a key takes items that together cost at most its weight times the cost of the most expensive item, and the visitors
// of a key take turns with equal weights. So between two turns of a key, each other key takes at most that much. Items of one
// visitor keep their order.
//
// The package only decides on the order: it has no clock, no limits and no goroutines, and it does not lock. All operations
// take constant time.
package fairqueue

// Visitor identifies a visitor of a key.
type Visitor [16]byte

// Item is one item of a queue, with a value of the caller. It is part of the caller's record of a request. The zero value is in
// no queue.
type Item[T any] struct {
	Value T

	cost    int
	visitor *visitor[T]
	place   link[Item[T]] // in visitor.items
}

// Queued reports whether the item is in a queue.
func (i *Item[T]) Queued() bool { return i.visitor != nil }

// Key is the share of one key in a queue. It is part of the caller's record of a key. The zero value has no items, and only then it
// may be copied. It is in one queue at a time.
type Key[T any] struct {
	flow[T]

	// Blocked keys are not in the turns, because of a limit that the caller knows.
	blocked  bool
	visitors map[Visitor]*visitor[T]
}

// visitor is one visitor of a key. It exists while it has items.
type visitor[T any] struct {
	flow[T]

	key *Key[T]
	id  Visitor
}

// Len returns the number of items of the key.
func (k *Key[T]) Len() int { return k.n }

// Queue holds items of keys. The zero value is empty and ready to use; it must not be copied once it has items. It is not safe for
// concurrent use.
type Queue[T any] struct {
	root    flow[T]
	quantum int // the greatest cost since the queue was empty
}

// Len returns the number of items.
func (q *Queue[T]) Len() int { return q.root.n }

// Push adds an item at the end of those of a visitor of a key. weight is the share of the key, and replaces an earlier one. cost is
// what the item takes of the share. Both are at least 1. The item must not be in a queue.
func (q *Queue[T]) Push(item *Item[T], key *Key[T], weight int, id Visitor, cost int) {
	q.quantum = max(q.quantum, cost)
	key.setWeight(weight)
	v := key.visitors[id]
	if v == nil {
		if key.visitors == nil {
			key.visitors = map[Visitor]*visitor[T]{}
		}
		v = &visitor[T]{key: key, id: id}
		v.parent, v.weight = &key.flow, 1
		key.visitors[id] = v
	}
	item.visitor, item.cost = v, cost
	v.items.push(&item.place, item)
	key.parent = &q.root
	v.add(1)
	if v.n == 1 {
		key.active.push(&v.turn, &v.flow)
	}
	if key.n == 1 && !key.blocked {
		q.root.active.push(&key.turn, &key.flow)
	}
}

// setWeight sets the weight of a key.
func (k *Key[T]) setWeight(weight int) {
	if weight == k.weight {
		return
	}
	before := 0
	if k.n > 0 {
		before = k.relativeLength()
	}
	k.weight = weight
	if k.n > 0 {
		k.parent.lengths.move(&k.flow, before, k.relativeLength())
	}
}

// Remove removes an item, which must be in the queue.
func (q *Queue[T]) Remove(item *Item[T]) {
	v := item.visitor
	key := v.key
	v.items.remove(&item.place)
	item.visitor, item.cost = nil, 0
	v.add(-1)
	if v.n == 0 {
		key.leave(&v.flow)
		delete(key.visitors, v.id)
	}
	if key.n == 0 {
		q.root.leave(&key.flow)
		key.parent = nil
	}
	if q.root.n == 0 {
		q.quantum = 0
	}
}

// Next returns the item whose turn it is. It returns nil if there is none: the queue is empty, or all keys with items are blocked.
func (q *Queue[T]) Next() *Item[T] { return q.root.head(q.quantum) }

// NextOf returns the item of a key whose turn it is among those of the key, blocked or not, or nil if it has none.
func (q *Queue[T]) NextOf(key *Key[T]) *Item[T] { return key.head(q.quantum) }

// Take removes the item that Next has returned, and charges it to its key and its visitor.
func (q *Queue[T]) Take(item *Item[T]) {
	v, cost, quantum := item.visitor, item.cost, q.quantum
	key := v.key
	v.deficit -= cost
	key.deficit -= cost
	q.Remove(item)
	// A turn ends as soon as it is used up, so that keys which come now are behind this one.
	if v.n > 0 && v.items.front().cost > v.deficit {
		key.endTurn(&v.flow)
	}
	if key.turn.in() && key.head(quantum).cost > key.deficit {
		q.root.endTurn(&key.flow)
	}
}

// SetBlocked keeps a key out of the turns, or lets it take part again. A key that was blocked in its turn continues that turn, and
// others begin at the end.
func (q *Queue[T]) SetBlocked(key *Key[T], blocked bool) {
	if key.blocked == blocked {
		return
	}
	key.blocked = blocked
	switch {
	case key.n == 0:
	case blocked:
		q.root.active.remove(&key.turn)
	case key.inTurn:
		q.root.active.pushFront(&key.turn, &key.flow)
	default:
		q.root.active.push(&key.turn, &key.flow)
	}
}

// Longest returns the newest item of the visitor with most items, at the key with most items in relation to its weight, or nil if
// the queue is empty. Of keys and visitors with the same number it chooses those of newest, if that is in the queue: a request does
// not remove one of a key or visitor that has no more than its own.
func (q *Queue[T]) Longest(newest *Item[T]) *Item[T] {
	var preferred *flow[T]
	if newest.visitor != nil {
		preferred = &newest.visitor.key.flow
	}
	if key := q.root.lengths.choose(preferred); key != nil {
		return key.longest(newest)
	}
	return nil
}

// LongestOf does the same within a key.
func (q *Queue[T]) LongestOf(key *Key[T], newest *Item[T]) *Item[T] { return key.longest(newest) }
