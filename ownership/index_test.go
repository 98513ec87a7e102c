package ownership

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
)

func TestOwns(t *testing.T) {
	b := NewIndex(0)
	b.Assign(OwnerOf("site", "agent", "k1"), Conversation, "c1")
	b.Assign(OwnerOf("site", "agent", "k1"), Conversation, "c1") // continued
	for name, tc := range map[string]struct {
		owner []string
		kind  Kind
		id    string
		want  bool
	}{
		"own":                           {[]string{"site", "agent", "k1"}, Conversation, "c1", true},
		"another conversation":          {[]string{"site", "agent", "k1"}, Conversation, "c2", false},
		"a thing of another kind":       {[]string{"site", "agent", "k1"}, Attachment, "c1", false},
		"another key":                   {[]string{"shop", "agent", "k1"}, Conversation, "c1", false},
		"another binding":               {[]string{"site", "agent", "k2"}, Conversation, "c1", false},
		"another kind of binding":       {[]string{"site", "source", "k1"}, Conversation, "c1", false},
		"upper case":                    {[]string{"site", "agent", "k1"}, Conversation, "C1", false},
		"no conversation":               {[]string{"site", "agent", "k1"}, Conversation, "", false},
		"no owner":                      {nil, Conversation, "c1", false},
		"the border moved to the left":  {[]string{"site", "agen", "tk1"}, Conversation, "c1", false},
		"the border moved to the right": {[]string{"site", "agentk", "1"}, Conversation, "c1", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := b.Owns(OwnerOf(tc.owner...), tc.kind, tc.id); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestAssignReplacesOwner(t *testing.T) {
	b := NewIndex(10)
	first, second := OwnerOf("a"), OwnerOf("b")
	b.Assign(first, Session, "s")
	b.Assign(second, Session, "s")
	if b.Owns(first, Session, "s") || !b.Owns(second, Session, "s") {
		t.Error("the first owner keeps what was given to another")
	}
	if owner, known := b.Owner(Session, "s"); !known || owner != second {
		t.Error("the owner is not known")
	}
	b.Forget(Session, "s")
	if _, known := b.Owner(Session, "s"); known || b.Owns(second, Session, "s") {
		t.Error("what is gone is still owned")
	}
}

func TestEvictsLeastRecentlyUsed(t *testing.T) {
	const size = 10
	c := NewIndex(size)
	for i := range size {
		c.Assign(OwnerOf("key"), Conversation, fmt.Sprint(i))
	}
	// Looking up or assigning a resource counts as using it.
	if !c.Owns(OwnerOf("key"), Conversation, "0") {
		t.Fatal("conversation 0 is forgotten before the memory is full")
	}
	c.Assign(OwnerOf("key"), Conversation, "1")
	c.Assign(OwnerOf("key"), Conversation, "new 1")
	c.Assign(OwnerOf("key"), Conversation, "new 2")
	for conversation, want := range map[string]bool{
		"0": true, "1": true, "2": false, "3": false, "4": true, "9": true, "new 1": true, "new 2": true,
	} {
		if got := c.Owns(OwnerOf("key"), Conversation, conversation); got != want {
			t.Errorf("conversation %s: known is %v, want %v", conversation, got, want)
		}
	}
}

func TestIndexIsBounded(t *testing.T) {
	for name, size := range map[string]int{"small": 3, "one": 1, "default": 0} {
		t.Run(name, func(t *testing.T) {
			c := NewIndex(size)
			if size < 1 {
				size = DefaultCapacity
			}
			const more = 50
			for i := range size + more {
				c.Assign(OwnerOf("key"), Conversation, fmt.Sprint(i))
			}
			remembered := 0
			for i := range size + more {
				if c.Owns(OwnerOf("key"), Conversation, fmt.Sprint(i)) {
					remembered++
				}
			}
			if remembered != size {
				t.Errorf("%d conversations are known, want %d", remembered, size)
			}
		})
	}
}

func TestIndexConcurrent(t *testing.T) {
	const owners, each = 8, 200
	c := NewIndex(owners * each)
	var all sync.WaitGroup
	for o := range owners {
		all.Go(func() {
			me, other := fmt.Sprint("key ", o), fmt.Sprint("key ", (o+1)%owners)
			for i := range each {
				mine := fmt.Sprintf("%d of %s", i, me)
				if c.Owns(OwnerOf(me), Task, mine) {
					t.Errorf("%s owns %s before it was given", me, mine)
				}
				c.Assign(OwnerOf(me), Task, mine)
				if !c.Owns(OwnerOf(me), Task, mine) || c.Owns(OwnerOf(other), Task, mine) {
					t.Errorf("%s: mine %v, the other's %v", mine, c.Owns(OwnerOf(me), Task, mine), c.Owns(OwnerOf(other), Task, mine))
				}
			}
		})
	}
	all.Wait()
}

// A key with many resources must not make the index forget those of other keys, and cheap resources must not evict
// expensive ones.
func TestEvictionLargestOwnerFirst(t *testing.T) {
	const size = 100
	b := NewIndex(size)
	greedy, modest, third := OwnerOf("greedy"), OwnerOf("modest"), OwnerOf("third")
	for i := range 20 {
		b.Assign(modest, Conversation, fmt.Sprint("modest ", i))
		b.Assign(greedy, Conversation, fmt.Sprint("greedy ", i))
	}
	for i := range 10 * size {
		b.Assign(greedy, Session, fmt.Sprint("session ", i))
	}
	b.Assign(third, Attachment, "one")
	for i := range 20 {
		if !b.Owns(modest, Conversation, fmt.Sprint("modest ", i)) {
			t.Errorf("conversation %d of another key is forgotten", i)
		}
		if !b.Owns(greedy, Conversation, fmt.Sprint("greedy ", i)) {
			t.Errorf("conversation %d is forgotten for sessions", i)
		}
	}
	if !b.Owns(third, Attachment, "one") {
		t.Error("a new resource is evicted immediately")
	}
	for i, want := range map[int]bool{0: false, 10*size - 60: false, 10*size - 59: true, 10*size - 1: true} {
		if got := b.Owns(greedy, Session, fmt.Sprint("session ", i)); got != want {
			t.Errorf("session %d: known is %v, want %v", i, got, want)
		}
	}
}

// If there are as many keys as capacity, each new resource evicts the one that was assigned least recently.
func TestEvictionManyOwners(t *testing.T) {
	const size = 10
	b := NewIndex(size)
	for i := range 3 * size {
		b.Assign(OwnerOf(fmt.Sprint(i)), Conversation, fmt.Sprint(i))
	}
	for i := range 3 * size {
		if got, want := b.Owns(OwnerOf(fmt.Sprint(i)), Conversation, fmt.Sprint(i)), i >= 2*size; got != want {
			t.Errorf("conversation %d: known is %v, want %v", i, got, want)
		}
	}
}

// After any sequence of operations the resources and the quotas are consistent.
func TestIndexInvariants(t *testing.T) {
	const size = 20
	random := rand.New(rand.NewPCG(1, 2))
	b := NewIndex(size)
	kinds := []Kind{Conversation, Session}
	for range 20_000 {
		owner, kind, id := OwnerOf(fmt.Sprint(random.IntN(5))), kinds[random.IntN(2)], fmt.Sprint(random.IntN(30))
		switch random.IntN(5) {
		case 0:
			b.Forget(kind, id)
		case 1:
			b.Owns(owner, kind, id)
		default:
			b.Assign(owner, kind, id)
			if !b.Owns(owner, kind, id) {
				t.Fatal("a resource that was just assigned is not owned")
			}
		}
		held := 0
		for index, h := range b.largest {
			if h.index != index || h.len() == 0 || b.quotas[h.ownerKind] != h || h.len() > b.largest[0].len() {
				t.Fatalf("quota %d is out of order", index)
			}
			held += h.len()
		}
		if held != len(b.resources) || held > size || len(b.quotas) != len(b.largest) {
			t.Fatalf("%d resources in quotas, %d known, %d fit", held, len(b.resources), size)
		}
	}
}

func BenchmarkAssign(b *testing.B) {
	for _, owners := range []int{1, 1000} {
		b.Run(fmt.Sprint(owners), func(b *testing.B) {
			memory := NewIndex(0)
			names := make([]Owner, owners)
			for i := range names {
				names[i] = OwnerOf(fmt.Sprint(i))
			}
			for i := 0; b.Loop(); i++ {
				memory.Assign(names[i%owners], Conversation, strconv.Itoa(i))
			}
		})
	}
}
