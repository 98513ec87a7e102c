package series

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/docsgate/docsgate/keys/countersync"
)

const (
	// FlushEvery is how often counts are moved to the storage: a crash loses what was counted since then.
	FlushEvery = 5 * time.Second

	flushTimeout = 10 * time.Second
	pruneEvery   = time.Hour

	// maxPrunes is the maximum number of calls of Storage.Prune in succession. What is left is for the next hour.
	maxPrunes = 100
)

// Options configures a History.
type Options struct {
	// Open opens the storage. It is called until it succeeds.
	Open func(ctx context.Context) (Storage, error)

	Log     *slog.Logger     // logs failures; nil: no logging
	Failed  func()           // is called for each failure; nil: nothing is
	Dropped func()           // is called for each request that is not counted; nil: nothing is
	Now     func() time.Time // nil: time.Now
}

// History is the usage of keys over time: what a Recorder counts, and what a Storage contains. It is safe for concurrent use. Create one
// with New.
type History struct {
	*Recorder
	o Options

	mu      sync.Mutex // guards the following; one flush at a time
	storage Storage    // nil: it could not be opened yet
	batch   countersync.Batch[Row]
	flushes uint64
	pruned  time.Time
	logged  string // last error, so that it is logged once
	closed  bool
}

// New returns a history. The caller must call Close.
func New(o Options) *History {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Failed == nil {
		o.Failed = func() {}
	}
	if o.Dropped == nil {
		o.Dropped = func() {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &History{Recorder: NewRecorder(o.Dropped), o: o, batch: countersync.Batch[Row]{Writer: rand.Text()}}
}

// Run moves counts to the storage every 5 seconds until ctx is canceled. A failure is logged once, and retried; meanwhile the counts are
// in memory.
func (h *History) Run(ctx context.Context) {
	tick := time.NewTicker(FlushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			_ = h.Flush(ctx) // the error is already logged
		case <-ctx.Done():
			return
		}
	}
}

// Flush moves all counts to the storage, and removes old buckets once an hour. Canceling ctx does not stop it. It does not open the storage
// while nothing is counted.
func (h *History) Flush(ctx context.Context) error { return h.sync(ctx, false) }

// sync is Flush that opens the storage even if nothing is counted, if open is set.
func (h *History) sync(ctx context.Context, open bool) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	err := h.flush(ctx, open)
	switch {
	case err != nil:
		h.o.Failed()
		if text := err.Error(); text != h.logged {
			h.logged = text
			h.o.Log.Warn("saving the usage of keys over time failed; it is counted in memory, and saving is retried", "error", err)
		}
	case h.logged != "":
		h.logged = ""
		h.o.Log.Info("the usage of keys over time is saved again")
	}
	return err
}

var errClosed = errors.New("the usage of keys is not recorded any longer")

func (h *History) flush(ctx context.Context, open bool) error {
	if h.closed {
		return errClosed
	}
	if h.storage == nil && !open && h.rows.Load() == 0 {
		return nil
	}
	if h.storage == nil {
		storage, err := h.o.Open(ctx)
		if err != nil {
			return err
		}
		h.storage = storage
	}
	h.flushes++
	for {
		if len(h.batch.Deltas) == 0 {
			if h.batch.Deltas = withTotals(h.take(h.flushes, countersync.MaxRows)); len(h.batch.Deltas) == 0 {
				break
			}
			h.batch.Seq++
		}
		if err := h.storage.Add(ctx, h.batch); err != nil {
			return fmt.Errorf("saving the usage of keys: %w", err)
		}
		h.batch.Deltas = nil
	}
	return h.prune(ctx)
}

func (h *History) prune(ctx context.Context) error {
	now := h.o.Now()
	if now.Sub(h.pruned) < pruneEvery {
		return nil
	}
	for range maxPrunes {
		more, err := h.storage.Prune(ctx, now)
		if err != nil {
			return fmt.Errorf("removing old usage of keys: %w", err)
		}
		if !more {
			break
		}
	}
	h.pruned = now
	return nil
}

// withTotals adds the sums over all keys, and sorts the rows so that neighbors in a storage share pages.
func withTotals(rows []Row) []Row {
	totals := map[int64]*Row{}
	for i := range rows {
		r := &rows[i]
		if totals[r.Minute] == nil {
			totals[r.Minute] = &Row{Key: AllKeys, Minute: r.Minute}
		}
		totals[r.Minute].Counts.Add(&r.Counts)
	}
	for _, r := range totals {
		rows = append(rows, *r)
	}
	slices.SortFunc(rows, func(a, b Row) int { return cmp.Or(cmp.Compare(a.Minute, b.Minute), cmp.Compare(a.Key, b.Key)) })
	return rows
}

// Close saves what was counted, and closes the storage.
func (h *History) Close() error {
	err := h.Flush(context.Background())
	if errors.Is(err, errClosed) {
		return nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	if h.storage == nil {
		return err
	}
	return errors.Join(err, h.storage.Close())
}
