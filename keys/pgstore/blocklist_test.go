package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/docsgate/docsgate/internal/feedtest"
	"github.com/docsgate/docsgate/internal/pgtest"
	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/pgstore"
	"github.com/docsgate/docsgate/ownership/blocklist"
)

func shared(t testing.TB, o pgstore.Options) *blocklist.Shared {
	t.Helper()
	l := blocklist.NewShared(open(t, o), 30*24*time.Hour, slog.New(slog.DiscardHandler))
	t.Cleanup(l.Close)
	return l
}

// Of gates that continue one conversation at the same time, one can. It is blocked everywhere until the end of its answer.
func TestBlocklistOfGates(t *testing.T) {
	o := options(pgtest.Database(t))
	gates := []*blocklist.Shared{shared(t, o), shared(t, o), shared(t, o)}
	for round := range 9 {
		id := fmt.Sprint("conversation ", round%3)
		var (
			winners atomic.Int32
			winner  atomic.Pointer[blocklist.Shared]
			group   sync.WaitGroup
		)
		for n := range 9 {
			g := gates[n%3]
			group.Go(func() {
				added, err := g.Add(t.Context(), blocklist.Key{1}, id, time.Now())
				if err != nil {
					t.Error(err)
				}
				if added {
					winners.Add(1)
					winner.Store(g)
				}
			})
		}
		group.Wait()
		if winners.Load() != 1 {
			t.Fatalf("%d questions continue the conversation", winners.Load())
		}
		for _, g := range gates {
			if !g.Blocked(t.Context(), id) {
				t.Error("it is not blocked at a gate")
			}
		}
		// A question that begins before the conversation is unblocked continues it.
		group.Go(func() { time.Sleep(20 * time.Millisecond); winner.Load().Remove(id) })
		waitUntil(t, "a question that has waited continues the conversation", func() bool {
			added, err := gates[0].Add(t.Context(), blocklist.Key{1}, id, time.Now())
			return err == nil && added
		})
		group.Wait()
		gates[0].Remove(id)
		for _, g := range gates {
			waitUntil(t, "the conversation is not blocked", func() bool { return !g.Blocked(t.Context(), id) })
		}
	}
}

// One key cannot fill the list, and entries expire.
func TestBlocklistLimits(t *testing.T) {
	database := pgtest.Database(t)
	l := shared(t, options(database))
	key := blocklist.Key{1}
	pgtest.Exec(t, database, fmt.Sprintf(`INSERT INTO docsgate.blocked_conversations (id, key, since)
		SELECT decode(md5(n::text), 'hex'), '\x%x', now() - interval '31 days' FROM generate_series(1, %d) AS n`, key[:], blocklist.MaxEntriesPerKey))
	if _, err := l.Add(t.Context(), key, "a", time.Now()); !errors.Is(err, blocklist.ErrFull) {
		t.Errorf("one more: %v", err)
	}
	if added, err := l.Add(t.Context(), blocklist.Key{2}, "b", time.Now()); !added || err != nil {
		t.Errorf("another key: %v, %v", added, err)
	}
	if err := open(t, options(database)).ExpireBlocked(t.Context(), 30*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	if added, err := l.Add(t.Context(), key, "a", time.Now()); !added || err != nil {
		t.Errorf("after others have expired: %v, %v", added, err)
	}
	if !l.Blocked(t.Context(), "b") {
		t.Error("a new entry has expired")
	}
}

// Without the key store no conversation is continued, and an answer that ends meanwhile unblocks its conversation afterwards.
func TestBlocklistOutage(t *testing.T) {
	database := pgtest.Database(t)
	proxy := feedtest.NewProxy(t, pgtest.Host())
	l := shared(t, pgstore.Options{
		URI: keys.NewSecret(strings.Replace(pgtest.URI("postgres", database), pgtest.Host(), proxy.Addr(), 1)), Timeout: time.Second,
	})
	other := shared(t, options(database))
	if added, err := l.Add(t.Context(), blocklist.Key{1}, "a", time.Now()); !added || err != nil {
		t.Fatalf("%v, %v", added, err)
	}
	proxy.Refuse()
	if added, err := l.Add(t.Context(), blocklist.Key{1}, "b", time.Now()); added || err == nil {
		t.Errorf("%v, %v", added, err)
	}
	if !l.Blocked(t.Context(), "b") {
		t.Error("an unknown state is not blocked")
	}
	l.Remove("a")
	if added, err := other.Add(t.Context(), blocklist.Key{1}, "a", time.Now()); added || err != nil {
		t.Errorf("another gate: %v, %v", added, err)
	}
	proxy.Accept()
	waitUntil(t, "the conversation is not blocked", func() bool { return !other.Blocked(t.Context(), "a") })
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if added, err := l.Add(canceled, blocklist.Key{1}, "c", time.Now()); added && err == nil {
		t.Log("the entry was added before the cancellation was noticed")
	}
	l.Close()
	if _, err := l.Add(t.Context(), blocklist.Key{1}, "d", time.Now()); err == nil {
		t.Error("added to a list that is closed")
	}
}
