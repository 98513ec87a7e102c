package policy

import (
	"fmt"
	"sync"
	"testing"
)

func TestOnlyTheOwnerOwnsAThing(t *testing.T) {
	b := NewBelongings(0)
	b.Give(OwnerOf("site", "agent", "k1"), Conversation, "c1")
	b.Give(OwnerOf("site", "agent", "k1"), Conversation, "c1") // continued
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

func TestAThingHasOneOwner(t *testing.T) {
	b := NewBelongings(10)
	first, second := OwnerOf("a"), OwnerOf("b")
	b.Give(first, Session, "s")
	b.Give(second, Session, "s")
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

func TestTheLongestUnusedAreForgotten(t *testing.T) {
	const size = 10
	c := NewBelongings(size)
	for i := range size {
		c.Give(OwnerOf("key"), Conversation, fmt.Sprint(i))
	}
	// Asking for one counts as using it, and so does going on with it.
	if !c.Owns(OwnerOf("key"), Conversation, "0") {
		t.Fatal("conversation 0 is forgotten before the memory is full")
	}
	c.Give(OwnerOf("key"), Conversation, "1")
	c.Give(OwnerOf("key"), Conversation, "new 1")
	c.Give(OwnerOf("key"), Conversation, "new 2")
	for conversation, want := range map[string]bool{
		"0": true, "1": true, "2": false, "3": false, "4": true, "9": true, "new 1": true, "new 2": true,
	} {
		if got := c.Owns(OwnerOf("key"), Conversation, conversation); got != want {
			t.Errorf("conversation %s: remembered is %v, want %v", conversation, got, want)
		}
	}
}

func TestTheMemoryIsBounded(t *testing.T) {
	for name, size := range map[string]int{"small": 3, "one": 1, "default": 0} {
		t.Run(name, func(t *testing.T) {
			c := NewBelongings(size)
			if size < 1 {
				size = MaxBelongings
			}
			const more = 50
			for i := range size + more {
				c.Give(OwnerOf("key"), Conversation, fmt.Sprint(i))
			}
			remembered := 0
			for i := range size + more {
				if c.Owns(OwnerOf("key"), Conversation, fmt.Sprint(i)) {
					remembered++
				}
			}
			if remembered != size {
				t.Errorf("%d conversations are remembered, want %d", remembered, size)
			}
		})
	}
}

func TestBelongingsAtOnce(t *testing.T) {
	const owners, each = 8, 200
	c := NewBelongings(owners * each)
	var all sync.WaitGroup
	for o := range owners {
		all.Go(func() {
			me, other := fmt.Sprint("key ", o), fmt.Sprint("key ", (o+1)%owners)
			for i := range each {
				mine := fmt.Sprintf("%d of %s", i, me)
				if c.Owns(OwnerOf(me), Task, mine) {
					t.Errorf("%s owns %s before it was given", me, mine)
				}
				c.Give(OwnerOf(me), Task, mine)
				if !c.Owns(OwnerOf(me), Task, mine) || c.Owns(OwnerOf(other), Task, mine) {
					t.Errorf("%s: mine %v, the other's %v", mine, c.Owns(OwnerOf(me), Task, mine), c.Owns(OwnerOf(other), Task, mine))
				}
			}
		})
	}
	all.Wait()
}
