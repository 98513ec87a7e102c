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
	"github.com/docsgate/docsgate/keys/keyindex"
	"github.com/docsgate/docsgate/keys/pgstore"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
)

// scaleWorkload is the input of the process that measures the gate's key management.
type scaleWorkload struct {
	Path  string // of the store; empty: URI is used
	URI   string // of a database
	Keys  int
	ID    string // of an active key, which the process revokes
	Token string // of that key
}

// scaleSchema is the schema in a database. It is removed before and after a run.
const scaleSchema = "docsgate_bench"

// open opens the store.
func (w *scaleWorkload) open(ctx context.Context) (registry.Storage, error) {
	if w.URI != "" {
		return pgstore.Open(ctx, pgstore.Options{URI: keys.NewSecret(w.URI), Schema: scaleSchema})
	}
	return boltstore.Open(ctx, boltstore.Options{Path: w.Path})
}

// scaleRound is the output of that process. Times are in seconds, memory in bytes per key.
type scaleRound struct {
	Start          float64
	StartCPU       float64 // CPU time of the startup
	Heap, Resident float64 // of the whole process: store, catalog, feed and the rest
	UsedHeap, Used float64 // the same, after every key was used
	Pages          []float64
	Revoke         float64
}

// scaleQueries are the measured list pages: the filters of the console, and the slowest searches.
var scaleQueries = []struct {
	name  string
	query keyindex.Query
	none  bool // no matches
}{
	{name: "newest keys"},
	{name: "in the middle", query: keyindex.Query{After: "middle"}},
	{name: "expired keys", query: keyindex.Query{State: keys.Expired}},
	{name: "keys of one source", query: keyindex.Query{Source: "7d0c0f36-6a0e-4a5e-9a39-000000000007"}},
	{name: "text in one name", query: keyindex.Query{Text: "customer 0000777"}},
	{name: "text in every key", query: keyindex.Query{Text: "CUSTOMER"}},
	{name: "text in no key", query: keyindex.Query{Text: "no key contains this"}, none: true},
	{name: "text in no key, with a prefix of every id", query: keyindex.Query{Text: "key_01z"}, none: true},
	{name: "long text in no key, with a prefix of every source", query: keyindex.Query{Text: "7d0c0f36-6a0e-4a5e-9a39-00000000" + strings.Repeat("x", 60)}, none: true},
	{name: "one letter, active keys of one feed", query: keyindex.Query{Text: "e", State: keys.Allowed, Feed: "feed"}},
}

// pageRounds is the number of requests for each page; the median is reported.
const pageRounds = 15

// serveKeys loads the keys as a gate does at its startup, prints "started" when the first token is accepted, and measures.
func serveKeys(ctx context.Context, in io.Reader, out io.Writer) (err error) {
	var w scaleWorkload
	if err := json.NewDecoder(in).Decode(&w); err != nil {
		return err
	}
	storage, err := w.open(ctx)
	if err != nil {
		return err
	}
	meter := usage.NewMeter()
	issued, err := registry.New(registry.Options{Storage: storage, Usage: meter})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, issued.Close()) }()
	store, list, feed := keys.NewStore(), keyindex.New(), issued.Feed()
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
	if d := verifier.Verify(w.Token, time.Now()); !d.Allowed() {
		return fmt.Errorf("the token is rejected: %s", d.Reason)
	}
	fmt.Fprintln(out, "started")

	var round scaleRound
	if round.Heap, round.Resident, err = memoryPerKey(w.Keys); err != nil {
		return err
	}
	if round.Pages, err = measurePages(list, w, feed.Name()); err != nil {
		return err
	}
	begin := time.Now()
	if _, err := issued.Revoke(ctx, registry.Actor{Name: "bench"}, w.ID); err != nil {
		return err
	}
	if d := verifier.Verify(w.Token, time.Now()); d.Reason != keys.RevokedKey {
		return fmt.Errorf("the decision on a revoked key is %q", d.Reason)
	}
	round.Revoke = time.Since(begin).Seconds()

	if err := useEachKey(ctx, storage, store, meter); err != nil {
		return err
	}
	if round.UsedHeap, round.Used, err = memoryPerKey(w.Keys); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(round)
}

func measurePages(list *keyindex.Index, w scaleWorkload, feed string) ([]float64, error) {
	half, err := middleCursor(list, w.Keys)
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
		all = append(all, summarize(took).median)
	}
	return all, nil
}

// useEachKey counts a request of each key and collects the counters to be saved.
func useEachKey(ctx context.Context, storage registry.Storage, store *keys.Store, meter *usage.Counter) error {
	_, err := storage.All(ctx, func(r *registry.Record) error {
		if k := store.Get(r.ID); k != nil {
			meter.Count(k.ID, false, time.Now())
		}
		return nil
	})
	meter.TakeDirty()
	return err
}

// middleCursor returns the cursor of a page in the middle of the list.
func middleCursor(list *keyindex.Index, size int) (string, error) {
	cursor := ""
	for seen := 0; ; {
		page, err := list.Page(keyindex.Query{Now: time.Now(), After: cursor, Limit: 1000})
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

// memoryPerKey returns the heap and the resident memory of this process per key, in bytes. Mapped files are not included, because
// the system can reclaim their pages.
func memoryPerKey(n int) (heap, resident float64, err error) {
	runtime.GC()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, 0, fmt.Errorf("reading memory (Linux only): %w", err)
	}
	_, after, found := strings.Cut(string(text), "RssAnon:")
	var kilobytes float64
	if _, err := fmt.Sscan(after, &kilobytes); err != nil || !found {
		return 0, 0, errors.Join(errors.New("reading memory: no RssAnon"), err)
	}
	return float64(m.HeapAlloc) / float64(n), kilobytes * 1024 / float64(n), nil
}
