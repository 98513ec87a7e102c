package keyindex

import (
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// compareBy compares two keys as documented.
func compareBy(order Sort, lastUsed func(id string) uint32) func(a, b *keys.Key) int {
	return func(a, b *keys.Key) int {
		byID := cmp.Or(cmp.Compare(fold(a.ID), fold(b.ID)), cmp.Compare(a.ID, b.ID))
		switch order {
		case ByName:
			return cmp.Or(cmp.Compare(fold(a.Name), fold(b.Name)), byID)
		case ByExpires:
			if a.Expires.IsZero() != b.Expires.IsZero() {
				return cmp.Compare(b.Expires.Unix(), a.Expires.Unix()) // the zero time is the earliest
			}
			return cmp.Or(cmp.Compare(a.Expires.Unix(), b.Expires.Unix()), byID)
		case ByLastUsed:
			return cmp.Or(cmp.Compare(lastUsed(b.ID), lastUsed(a.ID)), byID)
		default:
			return comparePositions(positionOf(a), positionOf(b))
		}
	}
}

// All pages of each order together are the list that a plain sort gives.
func TestSorted(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	var all []*keys.Key
	for i := range 1500 {
		k := randomKey(r, fmt.Sprintf("%s%d", pick(r, "K", "k", "key_"), i))
		k.Name = pick(r, "same", "Same", "Straße", "strasse", "z", "", strings.Repeat("n", 300)) + pick(r, "", fmt.Sprint(i))
		all = append(all, k)
	}
	all = append(all, &keys.Key{ID: "TWIN", Name: "same"}, &keys.Key{ID: "twin", Name: "same"})
	lastUsed := func(id string) uint32 { return uint32(len(id)+int(id[len(id)-1])) % 5 }
	c := newCatalog(all...)
	for _, order := range []Sort{ByCreated, ByName, ByExpires, ByLastUsed} {
		for _, reverse := range []bool{false, true} {
			for _, state := range []keys.Reason{"", keys.Allowed} {
				t.Run(fmt.Sprintf("order %d, reverse %t, state %q", order, reverse, state), func(t *testing.T) {
					want := slices.DeleteFunc(slices.Clone(all), func(k *keys.Key) bool { return state != "" && k.Status(noon) != state })
					slices.SortFunc(want, compareBy(order, lastUsed))
					if reverse {
						slices.Reverse(want)
					}
					q := Query{Sort: order, Reverse: reverse, State: state, Limit: 37, LastUsed: lastUsed}
					var got []*keys.Key
					for {
						page := mustPage(t, c, q)
						if got = append(got, page.Keys...); page.Total != len(want) || page.Incomplete {
							t.Fatalf("%d keys, want %d; incomplete %t", page.Total, len(want), page.Incomplete)
						}
						if q.After = page.Next; q.After == "" {
							break
						}
					}
					if ids(got) != ids(want) {
						t.Errorf("order\n%.300s, want\n%.300s", ids(got), ids(want))
					}
				})
			}
		}
	}
}

func TestCursorOfAnotherOrder(t *testing.T) {
	c := newCatalog(&keys.Key{ID: "a"}, &keys.Key{ID: "b"}, &keys.Key{ID: "c"})
	byName := mustPage(t, c, Query{Sort: ByName, Limit: 1}).Next
	newest := mustPage(t, c, Query{Limit: 1}).Next
	for _, q := range []Query{
		{Sort: ByExpires, After: byName},
		{After: byName},
		{Sort: ByName, After: newest},
		{Sort: ByName, After: "x"},
		{Sort: ByName, After: byName[:len(byName)-1]},
	} {
		if _, err := c.Page(q); !errors.Is(err, ErrCursor) {
			t.Errorf("%+v: error %v", q, err)
		}
	}
}

// Lookups of the last use that take long do not delay a page: they continue in the background.
func TestLastUsedIncomplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New()
		all := make([]*keys.Key, 3*maxChunk)
		for i := range all {
			all[i] = &keys.Key{ID: fmt.Sprintf("key_%04d", i)}
		}
		c.KeysChanged(nil, all)
		last := all[len(all)-1].ID
		q := Query{Sort: ByLastUsed, Limit: 1, LastUsed: func(id string) uint32 {
			time.Sleep(time.Millisecond)
			if id == last {
				return 7
			}
			return 0
		}}
		start := time.Now()
		page := mustPage(t, c, q)
		if took := time.Since(start); !page.Incomplete || took > time.Second {
			t.Errorf("incomplete %t after %v", page.Incomplete, took)
		}
		time.Sleep(2 * time.Second)
		if page = mustPage(t, c, q); page.Incomplete || ids(page.Keys) != last {
			t.Errorf("incomplete %t, the first key is %s", page.Incomplete, ids(page.Keys))
		}
		synctest.Wait()
	})
}
