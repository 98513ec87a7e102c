package keys

import (
	"fmt"
	"testing"

	"github.com/docsgate/docsgate/internal/alloctest"
)

// The first load of many keys allocates about 1,000 bytes per key, garbage included. It was 5,800 when a bucket was read
// after another one had been written, since go-memdb then copies the nodes of its tree for each write.
func TestAllocatedBytesOfFirstLoad(t *testing.T) {
	const n, maxBytes = 50_000, 1500
	set := make([]Key, n)
	for i := range set {
		id := fmt.Sprint("customer-", i)
		set[i] = Key{ID: id, Name: id, Digest: DigestOf(id), Binding: Binding{Sources: []string{"source"}}}
	}
	allocated := alloctest.MinBytes(n*maxBytes, func() {
		if change, err := NewStore().Replace("file", set); err != nil || change.Added != n {
			t.Fatalf("%+v, %v", change, err)
		}
	})
	t.Logf("%d bytes per key", allocated/n)
	if allocated > n*maxBytes {
		t.Errorf("storing %d keys allocates %d bytes per key, want at most %d", n, allocated/n, maxBytes)
	}
}
