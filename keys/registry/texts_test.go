package registry_test

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

// Keys share allocations for their texts, but each has its own texts: with short and long names, imported and created, used and
// unused.
func TestKeyTextsInMemory(t *testing.T) {
	d := newRegistryTest(t)
	want := map[string]registry.Record{}
	for i := range 300 {
		item := registry.Import{Name: fmt.Sprint(i, strings.Repeat("\U0001F600", i%197)), Sources: []string{sourceID}}
		switch i % 3 {
		case 1:
			item.ID, item.Digest = fmt.Sprint("imported-", i), keys.DigestOf(fmt.Sprint("an old token ", i))
		case 2:
			item.ID, item.Name = fmt.Sprint("unnamed-", i), ""
		}
		made, err := d.Import(t.Context(), alice, []registry.Import{item}, false)
		if err != nil {
			t.Fatal(err)
		}
		want[made[0].Record.ID] = made[0].Record
		if i%2 == 0 {
			d.usage.Count(made[0].Record.ID, false, noon)
		}
	}
	set, err := d.Feed().Load(t.Context())
	if err != nil || len(set) != len(want) {
		t.Fatalf("%d keys of %d, %v", len(set), len(want), err)
	}
	for _, k := range set {
		rec, known := want[k.ID]
		if !known || k.Name != rec.Name || k.Hint != rec.Hint || k.Digest != rec.Digest {
			t.Errorf("key %q has the name %q and the hint %q, want %q and %q", k.ID, k.Name, k.Hint, rec.Name, rec.Hint)
		}
		held, used := d.usage.ID(k.ID)
		if used && unsafe.StringData(held) != unsafe.StringData(k.ID) {
			t.Errorf("the id %q is in memory twice", k.ID)
		}
	}
}
