package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/boltstore"
	"github.com/docsgate/docsgate/keys/catalog"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
)

// scalePlan is what the process that plays the gate's keys is told.
type scalePlan struct {
	Path  string // of the store
	Keys  int
	ID    string // of a key that can be used, and revoked
	Token string // of that key
}

// scaleRound is what it has measured. Times are in seconds, memory in bytes for each key.
type scaleRound struct {
	Start          float64
	StartCPU       float64 // the CPU time of it
	Heap, Resident float64 // of the store in memory, the catalog, the feed and all else
	Used           float64 // resident, once every key was used
	Pages          []float64
	Revoke         float64
}

// scaleQueries are the pages that are measured: what the filters of the page do, and what the search is slowest at.
var scaleQueries = []struct {
	name  string
	query catalog.Query
	none  bool // nothing is found
}{
	{name: "the newest"},
	{name: "in the middle", query: catalog.Query{After: "middle"}},
	{name: "the expired", query: catalog.Query{State: keys.Expired}},
	{name: "of one source", query: catalog.Query{Source: "7d0c0f36-6a0e-4a5e-9a39-000000000007"}},
	{name: "a text in one name", query: catalog.Query{Text: "customer 0000777"}},
	{name: "a text in every key", query: catalog.Query{Text: "CUSTOMER"}},
	{name: "a text in none", query: catalog.Query{Text: "nobody has this"}, none: true},
	{name: "a text in none, which begins as every id", query: catalog.Query{Text: "key_01z"}, none: true},
	{name: "a long text in none, which begins as every source", query: catalog.Query{Text: "7d0c0f36-6a0e-4a5e-9a39-00000000" + strings.Repeat("x", 60)}, none: true},
	{name: "a letter, of the active of one feed", query: catalog.Query{Text: "e", State: keys.Allowed, Feed: "feed"}},
}

// pageRounds is how often each page is asked for; the median counts.
const pageRounds = 15

// serveKeys does what a gate does with its keys at its start, says so when the first token is allowed, and measures.
func serveKeys(ctx context.Context, in io.Reader, out io.Writer) (err error) {
	var plan scalePlan
	if err := json.NewDecoder(in).Decode(&plan); err != nil {
		return err
	}
	storage, err := boltstore.Open(ctx, boltstore.Options{Path: plan.Path})
	if err != nil {
		return err
	}
	meter := usage.NewMeter()
	issued, err := registry.New(registry.Options{Storage: storage, Usage: meter})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, issued.Close()) }()
	store, list, feed := keys.NewStore(), catalog.New(), issued.Feed()
	syncer := keys.NewSyncer(store, []keys.Feed{feed}, nil)
	if err := syncer.LoadAll(ctx); err != nil {
		return err
	}
	store.Listen(list)
	verifier, err := keys.NewVerifier(store, keys.CacheConfig{})
	if err != nil {
		return err
	}
	defer verifier.Close()
	defer issued.OnChange(func(ctx context.Context) error { return syncer.Sync(ctx, feed.Name()) })()
	if d := verifier.Verify(plan.Token, time.Now()); !d.Allowed() {
		return fmt.Errorf("the token is refused: %s", d.Reason)
	}
	fmt.Fprintln(out, "started")

	var round scaleRound
	if round.Heap, round.Resident, err = memoryPerKey(plan.Keys); err != nil {
		return err
	}
	if round.Pages, err = measurePages(list, &plan, feed.Name()); err != nil {
		return err
	}
	begin := time.Now()
	if _, err := issued.Revoke(ctx, registry.Actor{Who: "bench"}, plan.ID); err != nil {
		return err
	}
	if d := verifier.Verify(plan.Token, time.Now()); d.Reason != keys.RevokedKey {
		return fmt.Errorf("a revoked key is %s", d.Reason)
	}
	round.Revoke = time.Since(begin).Seconds()

	if err := useEvery(ctx, storage, store, meter); err != nil {
		return err
	}
	if _, round.Used, err = memoryPerKey(plan.Keys); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(round)
}

func measurePages(list *catalog.Catalog, plan *scalePlan, feed string) ([]float64, error) {
	half, err := middle(list, plan.Keys)
	if err != nil {
		return nil, err
	}
	var all []float64
	for _, q := range scaleQueries {
		query := q.query
		query.Now = time.Now()
		if query.After != "" {
			query.After = half
		}
		if query.Feed != "" {
			query.Feed = feed
		}
		var took []float64
		for range pageRounds {
			begin := time.Now()
			page, err := list.Page(query)
			took = append(took, time.Since(begin).Seconds())
			if err != nil {
				return nil, err
			}
			if (page.Total == 0) != q.none || (len(page.Keys) == 0) != q.none {
				return nil, fmt.Errorf("page %s: %d keys", q.name, page.Total)
			}
		}
		all = append(all, spreadOf(took).median)
	}
	return all, nil
}

// useEvery counts a request of each key, and takes what is to be saved.
func useEvery(ctx context.Context, storage registry.Storage, store *keys.Store, meter *usage.Meter) error {
	_, err := storage.All(ctx, func(r *registry.Record) error {
		if k := store.Get(r.ID); k != nil {
			meter.Count(k.ID, false, time.Now())
		}
		return nil
	})
	meter.Changed()
	return err
}

// middle returns the cursor of a page in the middle.
func middle(list *catalog.Catalog, size int) (string, error) {
	cursor := ""
	for seen := 0; ; {
		page, err := list.Page(catalog.Query{Now: time.Now(), After: cursor, Limit: 1000})
		if err != nil {
			return "", err
		}
		if seen += len(page.Keys); page.Next == "" || seen > size {
			return cursor, nil
		}
		if cursor = page.Next; seen >= size/2 {
			return cursor, nil
		}
	}
}

// memoryPerKey returns what this process has on its heap and resident, without pages of files, which the system takes
// back when it needs them.
func memoryPerKey(n int) (heap, resident float64, err error) {
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0, fmt.Errorf("reading memory (this needs Linux): %w", err)
	}
	_, after, found := strings.Cut(string(text), "RssAnon:")
	var kilobytes float64
	if _, err := fmt.Sscan(after, &kilobytes); err != nil || !found {
		return 0, 0, errors.Join(errors.New("reading memory: no RssAnon"), err)
	}
	return float64(m.HeapAlloc) / float64(n), kilobytes * 1024 / float64(n), nil
}
