package pgstore_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/pgstore"
	"github.com/docsgate/docsgate/keys/registry"
)

// The connection is cut anywhere in a write. An acknowledged write is stored, and no write is stored in part.
func TestCutConnections(t *testing.T) {
	const rounds, writes = 40, 6
	database := pgtest.Database(t)
	direct := open(t, options(database))
	proxy := feedtest.NewProxy(t, pgtest.Host())
	uri := strings.Replace(pgtest.URI("postgres", database), pgtest.Host(), proxy.Addr(), 1)
	s := open(t, pgstore.Options{URI: keys.NewSecret(uri), Timeout: 2 * time.Second})

	acknowledged, failed := map[string]bool{}, 0
	for round := range rounds {
		cut := proxy.CutAfter(rand.IntN(3000))
		for i := range writes {
			r := record(fmt.Sprintf("key_%02d_%d", round, i))
			r.PreviousTokens = []keys.PreviousToken{{Digest: keys.DigestOf("old " + r.ID)}}
			e := &registry.AuditEntry{At: testTime, Action: registry.ActionCreated, Key: r.ID}
			if err := s.Write(t.Context(), []*registry.Record{r}, []*registry.AuditEntry{e}); err == nil {
				acknowledged[r.ID] = true
			} else {
				failed++
			}
		}
		select {
		case <-cut:
		default: // the writes were too short; the next round overrides it
		}
		proxy.Accept()
	}
	if failed == 0 || len(acknowledged) == 0 {
		t.Fatalf("%d writes were acknowledged and %d failed: the cuts are not where they should be", len(acknowledged), failed)
	}
	stored := 0
	newest, err := direct.All(t.Context(), func(r *registry.Record) error {
		stored++
		delete(acknowledged, r.ID)
		for _, token := range []string{"token of " + r.ID, "old " + r.ID} {
			if found, err := direct.ByDigest(t.Context(), keys.DigestOf(token)); err != nil || found.ID != r.ID {
				t.Errorf("key %s is not found by its token: %v", r.ID, err)
			}
		}
		if entries, err := direct.Audit(t.Context(), r.ID, 0, 10); err != nil || len(entries) != 1 {
			t.Errorf("key %s has %d entries, %v", r.ID, len(entries), err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for id := range acknowledged {
		t.Errorf("the acknowledged write of %s is lost", id)
	}
	entries, err := direct.Audit(t.Context(), "", 0, 1000)
	if err != nil || len(entries) != stored || newest != uint64(stored) {
		t.Errorf("%d records, %d entries, revision %d, %v", stored, len(entries), newest, err)
	}
	t.Logf("%d writes are stored, %d had an error", stored, failed)
}
