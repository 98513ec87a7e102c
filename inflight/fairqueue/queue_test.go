package fairqueue

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// request is the value of an item in tests.
type request struct {
	key     int
	visitor byte
	number  int
	cost    int
}

func (r request) String() string { return fmt.Sprintf("%c%d", 'a'+r.key, r.number) }

// model is a queue with everything that has been pushed, in the order of arrival.
type model struct {
	t      *testing.T
	q      Queue[request]
	keys   []Key[request]
	weight []int
	items  []*Item[request]
	served []int // costs, by key
	number int
}

func newModel(t *testing.T, weights ...int) *model {
	return &model{t: t, keys: make([]Key[request], len(weights)), weight: weights, served: make([]int, len(weights))}
}

func (m *model) push(key int, visitor byte, cost int) *Item[request] {
	m.number++
	item := &Item[request]{Value: request{key, visitor, m.number, cost}}
	m.q.Push(item, &m.keys[key], m.weight[key], Visitor{visitor}, cost)
	m.items = append(m.items, item)
	return item
}

func (m *model) forget(item *Item[request]) {
	i := slices.Index(m.items, item)
	m.items = slices.Delete(m.items, i, i+1)
}

// take takes the next item, which must be the oldest of its visitor, or reports that there is none.
func (m *model) take() (request, bool) {
	m.t.Helper()
	item := m.q.Next()
	if item == nil {
		return request{}, false
	}
	for _, other := range m.items {
		if v := other.Value; v.key == item.Value.key && v.visitor == item.Value.visitor {
			if other != item {
				m.t.Fatalf("%v overtakes %v of the same visitor", item.Value, v)
			}
			break
		}
	}
	m.q.Take(item)
	m.forget(item)
	m.served[item.Value.key] += item.Value.cost
	return item.Value, true
}

func (m *model) order(n int) string {
	m.t.Helper()
	text := ""
	for range n {
		r, ok := m.take()
		if !ok {
			m.t.Fatal("nothing is left")
		}
		text += string(rune('a' + r.key))
	}
	return text
}

func TestKeysTakeTurnsByWeight(t *testing.T) {
	m := newModel(t, 1, 3, 1)
	for range 6 {
		m.push(0, 0, 1)
		m.push(1, 0, 1)
	}
	m.push(2, 0, 1)
	if got := m.order(13); got != "abbbcabbbaaaa" {
		t.Errorf("order %s", got)
	}
}

func TestVisitorsTakeTurns(t *testing.T) {
	m := newModel(t, 1)
	for range 3 {
		m.push(0, 'x', 1)
	}
	m.push(0, 'y', 1)
	var visitors []byte
	for {
		r, ok := m.take()
		if !ok {
			break
		}
		visitors = append(visitors, r.visitor)
	}
	if string(visitors) != "xyxx" {
		t.Errorf("order %s", visitors)
	}
}

// A key whose items cost more takes fewer of them.
func TestCostCounts(t *testing.T) {
	m := newModel(t, 1, 1)
	for range 4 {
		m.push(0, 0, 4)
	}
	for range 16 {
		m.push(1, 0, 1)
	}
	if got := m.order(20); got != "abbbbabbbbabbbbabbbb" {
		t.Errorf("order %s", got)
	}
}

// Many items of other keys and visitors delay a new one by a turn of each key only.
func TestNewItemIsNotStarved(t *testing.T) {
	m := newModel(t, 1, 5, 1)
	for i := range 500 {
		m.push(0, byte(i), 1)
		m.push(1, 0, 1)
	}
	m.order(3)
	m.push(2, 0, 1)
	if got := m.order(5); got != "bbbac" && got != "bbbca" {
		t.Errorf("order %s", got)
	}
}

func TestBlockedKeysAreSkipped(t *testing.T) {
	m := newModel(t, 1, 1)
	for range 3 {
		m.push(0, 0, 1)
		m.push(1, 0, 1)
	}
	m.q.SetBlocked(&m.keys[0], true)
	if got := m.order(2); got != "bb" {
		t.Errorf("order %s", got)
	}
	m.q.SetBlocked(&m.keys[1], true)
	if item := m.q.Next(); item != nil {
		t.Errorf("%v is next", item.Value)
	}
	m.q.SetBlocked(&m.keys[0], false)
	m.q.SetBlocked(&m.keys[1], false)
	if got := m.order(4); got != "abaa" {
		t.Errorf("order %s", got)
	}
}

func TestLongest(t *testing.T) {
	m := newModel(t, 1, 10, 1)
	for range 5 {
		m.push(0, 'x', 1)
	}
	last := m.push(0, 'y', 1)
	for range 30 {
		m.push(1, 'x', 1) // 3 for each unit of weight
	}
	first := m.push(2, 'x', 1)
	if got := m.q.Longest(first).Value; got.key != 0 || got.visitor != 'x' || got.number != 5 {
		t.Errorf("%v of %c", got, got.visitor)
	}
	// The visitor with most items, even if the newest is of another one.
	if got := m.q.Longest(last).Value; got.visitor != 'x' || got.number != 5 {
		t.Errorf("%v of %c", got, got.visitor)
	}
	// Of the same length: the key and the visitor of the newest.
	m = newModel(t, 1, 1)
	for key := range 2 {
		for _, v := range []byte("xy") {
			m.push(key, v, 1)
			m.push(key, v, 1)
		}
	}
	for _, item := range slices.Clone(m.items) {
		if got := m.q.Longest(item).Value; got.key != item.Value.key || got.visitor != item.Value.visitor {
			t.Errorf("%v of %c for %v of %c", got, got.visitor, item.Value, item.Value.visitor)
		}
	}
}

// longest returns the greatest number of items of a key for each unit of weight.
func (m *model) longest() int {
	counts := make([]int, len(m.keys))
	for _, item := range m.items {
		counts[item.Value.key]++
	}
	most := 0
	for i, n := range counts {
		most = max(most, (n+m.keys[i].weight-1)/max(m.keys[i].weight, 1))
	}
	return most
}

// Whatever happens to a queue, nothing is lost, served twice or served to a blocked key, visitors keep their order, and the longest
// is found.
func TestRandomOperations(t *testing.T) {
	for seed := range uint64(150) {
		random := rand.New(rand.NewPCG(seed, 2))
		m := newModel(t, 1, 1+random.IntN(100), 1+random.IntN(5), 1)
		for range 400 {
			switch n := random.IntN(10); {
			case n < 5:
				item := m.push(random.IntN(len(m.keys)), byte(random.IntN(3)), 1+random.IntN(4))
				if victim := m.q.Longest(item).Value; m.keys[victim.key].relativeLength() != m.longest() {
					t.Fatalf("seed %d: %v has %d items, the longest key %d", seed, victim, m.keys[victim.key].relativeLength(), m.longest())
				}
			case n < 7 && len(m.items) > 0:
				item := m.items[random.IntN(len(m.items))]
				m.q.Remove(item)
				m.forget(item)
			case n == 7:
				m.q.SetBlocked(&m.keys[random.IntN(len(m.keys))], random.IntN(3) == 0)
			case n == 8:
				m.weight[1] = 1 + random.IntN(100)
			default:
				free := slices.ContainsFunc(m.items, func(i *Item[request]) bool { return !m.keys[i.Value.key].blocked })
				if r, ok := m.take(); ok != free || ok && m.keys[r.key].blocked {
					t.Fatalf("seed %d: %v, %t", seed, r, ok)
				}
			}
			if m.q.Len() != len(m.items) {
				t.Fatalf("seed %d: %d items, want %d", seed, m.q.Len(), len(m.items))
			}
		}
		for i := range m.keys {
			m.q.SetBlocked(&m.keys[i], false)
		}
		for len(m.items) > 0 {
			if _, ok := m.take(); !ok {
				t.Fatalf("seed %d: %d items are never next", seed, len(m.items))
			}
		}
		m.checkEmpty(seed)
	}
}

// checkEmpty fails if the queue still refers to something.
func (m *model) checkEmpty(seed uint64) {
	m.t.Helper()
	if q := &m.q; q.Next() != nil || q.Len() != 0 || q.quantum != 0 || q.root.lengths.longest != 0 || !q.root.active.empty() {
		m.t.Errorf("seed %d: the queue is not empty: %+v", seed, q)
	}
	for i := range m.keys {
		if k := &m.keys[i]; k.Len() != 0 || len(k.visitors) != 0 || k.deficit != 0 || k.inTurn || k.turn.in() || k.length.in() ||
			k.lengths.longest != 0 || !k.active.empty() || k.parent != nil {
			m.t.Errorf("seed %d: key %d is not empty: %+v", seed, i, k)
		}
	}
}

// Keys that always wait are served in the ratio of their weights: in any time, the difference of what two keys get for each unit of
// weight is at most a turn, and the most expensive item of each. So no key starves, either.
func TestFairnessBound(t *testing.T) {
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 3))
		m := newModel(t)
		for range 2 + random.IntN(6) {
			m.weight = append(m.weight, 1+random.IntN(100))
		}
		m.keys, m.served = make([]Key[request], len(m.weight)), make([]int, len(m.weight))
		const dearest = 4
		push := func(key int) { m.push(key, byte(random.IntN(4)), 1+random.IntN(dearest)) }
		for key := range m.keys {
			m.push(key, 0, dearest)
			for range 20 {
				push(key)
			}
		}
		// low and high are the extremes of the difference so far, for each pair.
		type pair struct{ i, j int }
		low, high := map[pair]float64{}, map[pair]float64{}
		for range 2000 {
			r, _ := m.take()
			push(r.key)
			for i := range m.keys {
				for j := range i {
					p := pair{i, j}
					wi, wj := float64(m.weight[i]), float64(m.weight[j])
					difference := float64(m.served[i])/wi - float64(m.served[j])/wj
					low[p], high[p] = min(low[p], difference), max(high[p], difference)
					if most := dearest + dearest/wi + dearest/wj; high[p]-low[p] > most {
						t.Fatalf("seed %d: weights %v: keys %d and %d differ by %.2f, want at most %.2f", seed, m.weight, i, j, high[p]-low[p], most)
					}
				}
			}
		}
	}
}

// An item joins a queue of n others, and one is taken.
func BenchmarkQueue(b *testing.B) {
	for _, n := range []int{0, 100, 10_000} {
		b.Run(fmt.Sprintf("%d waiting", n), func(b *testing.B) {
			var q Queue[int]
			keys := make([]Key[int], n/10+1)
			for i := range n {
				q.Push(&Item[int]{}, &keys[i%len(keys)], 1, Visitor{byte(i % 7)}, 1)
			}
			i := 0
			b.ReportAllocs()
			for b.Loop() {
				item := new(Item[int])
				q.Push(item, &keys[i%len(keys)], 1, Visitor{byte(i % 7)}, 1)
				q.Longest(item)
				q.Take(q.Next())
				i++
			}
		})
	}
}

// A key that reaches its limit in its turn continues the turn, and nothing more.
func TestBlockedKeyContinuesItsTurn(t *testing.T) {
	m := newModel(t, 1, 3)
	for range 5 {
		m.push(0, 0, 1)
		m.push(1, 0, 1)
	}
	order := ""
	for range 10 {
		order += m.order(1)
		key := &m.keys[order[len(order)-1]-'a']
		m.q.SetBlocked(key, true)
		m.q.SetBlocked(key, false)
	}
	if order != "abbbabbaaa" {
		t.Errorf("order %s", order)
	}
	m.push(1, 0, 1)
	m.push(1, 0, 1)
	m.push(0, 0, 1)
	order = m.order(1)
	m.q.SetBlocked(&m.keys[1], true)
	order += m.order(1)
	m.q.SetBlocked(&m.keys[1], false)
	if order += m.order(1); order != "bab" {
		t.Errorf("order %s", order)
	}
}
