package fairqueue

// link is the place of an element in one list, and a part of the element. The zero value is in no list.
type link[E any] struct {
	element    *E
	next, prev *link[E]
}

// list is a circular list of elements by their links. The zero value is empty.
type list[E any] struct{ first *link[E] }

func (l *list[E]) empty() bool { return l.first == nil }

// front returns the first element, or nil if the list is empty.
func (l *list[E]) front() *E {
	if l.first == nil {
		return nil
	}
	return l.first.element
}

// back returns the last element, or nil if the list is empty.
func (l *list[E]) back() *E {
	if l.first == nil {
		return nil
	}
	return l.first.prev.element
}

// push adds an element at the end.
func (l *list[E]) push(k *link[E], element *E) {
	k.element = element
	if l.first == nil {
		l.first, k.next, k.prev = k, k, k
		return
	}
	k.next, k.prev = l.first, l.first.prev
	k.prev.next, k.next.prev = k, k
}

// pushFront adds an element at the beginning.
func (l *list[E]) pushFront(k *link[E], element *E) {
	l.push(k, element)
	l.first = k
}

func (l *list[E]) remove(k *link[E]) {
	switch {
	case k.next == k:
		l.first = nil
	case l.first == k:
		l.first = k.next
	}
	k.prev.next, k.next.prev = k.next, k.prev
	*k = link[E]{}
}

// rotate moves the first element to the end.
func (l *list[E]) rotate() { l.first = l.first.next }

// in reports whether the element is in a list.
func (k *link[E]) in() bool { return k.next != nil }
