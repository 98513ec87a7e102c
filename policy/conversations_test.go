package policy

import (
	"fmt"
	"sync"
	"testing"
)

func TestOnlyTheOwnerOwnsAConversation(t *testing.T) {
	c := NewConversations(0)
	c.Give("site\x00agent\x00k1", "c1")
	c.Give("site\x00agent\x00k1", "c1") // continued
	for name, tc := range map[string]struct {
		owner, conversation string
		want                bool
	}{
		"own":                           {"site\x00agent\x00k1", "c1", true},
		"another conversation":          {"site\x00agent\x00k1", "c2", false},
		"another key":                   {"shop\x00agent\x00k1", "c1", false},
		"another binding":               {"site\x00agent\x00k2", "c1", false},
		"another kind of binding":       {"site\x00source\x00k1", "c1", false},
		"upper case":                    {"site\x00agent\x00k1", "C1", false},
		"no conversation":               {"site\x00agent\x00k1", "", false},
		"no owner":                      {"", "c1", false},
		"the border moved to the left":  {"site\x00agent\x00k", "1c1", false},
		"the border moved to the right": {"site\x00agent\x00k1c", "1", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.Owns(tc.owner, tc.conversation); got != tc.want {
				t.Errorf("got %v, want %v", got, tc.want)
			}
		})
	}
}

func TestAConversationMayHaveTwoOwners(t *testing.T) {
	c := NewConversations(10)
	c.Give("a", "c")
	c.Give("b", "c")
	if !c.Owns("a", "c") || !c.Owns("b", "c") {
		t.Error("the second owner takes the conversation from the first")
	}
}

func TestTheLongestUnusedAreForgotten(t *testing.T) {
	const size = 10
	c := NewConversations(size)
	for i := range size {
		c.Give("key", fmt.Sprint(i))
	}
	// Asking for one counts as using it, and so does going on with it.
	if !c.Owns("key", "0") {
		t.Fatal("conversation 0 is forgotten before the memory is full")
	}
	c.Give("key", "1")
	c.Give("key", "new 1")
	c.Give("key", "new 2")
	for conversation, want := range map[string]bool{
		"0": true, "1": true, "2": false, "3": false, "4": true, "9": true, "new 1": true, "new 2": true,
	} {
		if got := c.Owns("key", conversation); got != want {
			t.Errorf("conversation %s: remembered is %v, want %v", conversation, got, want)
		}
	}
}

func TestTheMemoryIsBounded(t *testing.T) {
	for name, size := range map[string]int{"small": 3, "one": 1, "default": 0} {
		t.Run(name, func(t *testing.T) {
			c := NewConversations(size)
			if size < 1 {
				size = MaxConversations
			}
			const more = 50
			for i := range size + more {
				c.Give("key", fmt.Sprint(i))
			}
			remembered := 0
			for i := range size + more {
				if c.Owns("key", fmt.Sprint(i)) {
					remembered++
				}
			}
			if remembered != size {
				t.Errorf("%d conversations are remembered, want %d", remembered, size)
			}
		})
	}
}

func TestConversationsAtOnce(t *testing.T) {
	const owners, each = 8, 200
	c := NewConversations(owners * each)
	var all sync.WaitGroup
	for o := range owners {
		all.Go(func() {
			me, other := fmt.Sprint("key ", o), fmt.Sprint("key ", (o+1)%owners)
			for i := range each {
				mine := fmt.Sprintf("%d of %s", i, me)
				if c.Owns(me, mine) {
					t.Errorf("%s owns %s before it was given", me, mine)
				}
				c.Give(me, mine)
				if !c.Owns(me, mine) || c.Owns(other, mine) {
					t.Errorf("%s: mine %v, the other's %v", mine, c.Owns(me, mine), c.Owns(other, mine))
				}
			}
		})
	}
	all.Wait()
}
