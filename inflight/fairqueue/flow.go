package fairqueue

// flow is a node of the tree of flows: the queue, a key or a visitor. Items are only in visitors.
type flow[T any] struct {
	parent *flow[T] // nil: the queue, or a key without items
	weight int      // at least 1
	n      int      // items in it and below it

	// Deficit round robin among its siblings.
	deficit int  // what it may still take in this turn, in units of cost
	inTurn  bool // it is the first of its active siblings and has received its quantum

	turn   link[flow[T]] // in parent.active
	length link[flow[T]] // in a list of parent.lengths

	items   list[Item[T]] // oldest first; only of a visitor
	active  list[flow[T]] // children with items whose turn may come; the first has the turn
	lengths lengths[T]    // children with items, by their length
}

// head returns the item whose turn it is, or nil if there is none. quantum is what a flow of weight 1 may take in a turn. If no
// item costs more, head takes constant time.
func (f *flow[T]) head(quantum int) *Item[T] {
	if !f.items.empty() {
		return f.items.front()
	}
	for child := f.active.front(); child != nil; child = f.active.front() {
		item := child.head(quantum)
		switch {
		case item.cost <= child.deficit:
			return item
		case !child.inTurn:
			child.inTurn = true
			child.deficit += quantum * child.weight
		default:
			f.endTurn(child)
		}
	}
	return nil
}

// endTurn ends the turn of the first active child. What it has not used remains for its next turn.
func (f *flow[T]) endTurn(child *flow[T]) {
	child.inTurn = false
	f.active.rotate()
}

// leave removes a child without items from the turns. It saves nothing for later.
func (f *flow[T]) leave(child *flow[T]) {
	child.deficit, child.inTurn = 0, false
	if child.turn.in() {
		f.active.remove(&child.turn)
	}
}

// add counts n items more or less in a flow and all that it is part of.
func (f *flow[T]) add(n int) {
	for ; f.parent != nil; f = f.parent {
		before := f.relativeLength()
		f.n += n
		f.parent.lengths.move(f, before, f.relativeLength())
	}
	f.n += n
}

// relativeLength returns the number of items for each unit of weight, rounded up.
func (f *flow[T]) relativeLength() int { return (f.n + f.weight - 1) / f.weight }

// longest returns the newest item of the visitor of a key with most items, or nil if it has none; see [Queue.Longest].
func (f *flow[T]) longest(newest *Item[T]) *Item[T] {
	var preferred *flow[T]
	if newest.visitor != nil {
		preferred = &newest.visitor.flow
	}
	if v := f.lengths.choose(preferred); v != nil {
		return v.items.back()
	}
	return nil
}

// lengths holds flows by their relative length. The zero value is empty.
type lengths[T any] struct {
	lists   []list[flow[T]] // by relative length; that of length 0 is empty
	longest int             // the greatest length, or 0
}

// move moves a flow from one length to another. The flows of length 0 are in no list.
func (l *lengths[T]) move(f *flow[T], from, to int) {
	if from == to {
		return
	}
	if from > 0 {
		l.lists[from].remove(&f.length)
	}
	for len(l.lists) <= to {
		l.lists = append(l.lists, list[flow[T]]{})
	}
	if to > 0 {
		l.lists[to].push(&f.length, f)
	}
	l.longest = max(l.longest, to)
	for l.longest > 0 && l.lists[l.longest].empty() {
		l.longest-- // one step, unless a weight has changed
	}
}

// choose returns a flow with the greatest length, or nil if there is none. It returns preferred if that is one of them; preferred may
// be nil, or in other lengths.
func (l *lengths[T]) choose(preferred *flow[T]) *flow[T] {
	switch {
	case l.longest == 0:
		return nil
	case preferred != nil && &preferred.parent.lengths == l && preferred.relativeLength() == l.longest:
		return preferred
	default:
		return l.lists[l.longest].front()
	}
}
