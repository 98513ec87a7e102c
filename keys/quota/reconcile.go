package quota

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxPending is the largest number of answers whose exact numbers are awaited, about 200 bytes each.
	maxPending = 10_000

	// batchSize is the largest number of answers in one read of a TokenSource. There is at most one read per reconcileEvery.
	batchSize      = 500
	reconcileEvery = time.Second

	// readTimeout is the timeout for a read of all sources.
	readTimeout = 10 * time.Second

	// failedPause is the pause after a failed read, and unreadablePause the one after which permissions are checked again.
	failedPause     = 10 * time.Second
	unreadablePause = time.Minute

	// maxAge is how long a number is awaited while reads fail.
	maxAge = 30 * time.Minute
)

// readAfter are the times of the reads, since the end of an answer. A complete answer is usually found by the first one. An answer
// whose client has disconnected goes on for an unknown time, so two reads in succession must find the same number.
var (
	readAfter            = [...]time.Duration{2 * time.Second, 10 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute}
	readInterruptedAfter = [...]time.Duration{30 * time.Second, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute}
)

// TokenSource has the exact numbers of tokens of answers. Its methods are not called concurrently.
type TokenSource interface {
	// Tokens returns the tokens of the requests with these IDs, without the requests that it does not know. An *UnreadableError means
	// that it has no numbers until an operator changes something.
	Tokens(ctx context.Context, ids []string) (map[string]int64, error)

	// Close releases the resources that Tokens has acquired. Tokens may be called again.
	Close()
}

// UnreadableError says why a TokenSource has no numbers, for operators.
type UnreadableError struct{ Reason string }

func (e *UnreadableError) Error() string { return e.Reason }

// Answer is an answer whose tokens are estimated.
type Answer struct {
	RequestID string // at the source
	Estimate  Estimate
	Complete  bool // the answer has ended at the source, too

	// Settled is called with the final number of tokens, and whether it is exact. It must not block.
	Settled func(tokens int64, exact bool)
}

func (a *Answer) correct(tokens int64) {
	a.Estimate.Correct(tokens)
	a.Settled(tokens, true)
}

func (a *Answer) keep() {
	a.Estimate.Keep()
	a.Settled(a.Estimate.Tokens(), false)
}

// Reconciler replaces the estimates of answers by exact numbers, which are known some time after the end of an answer. The answers
// are in bounded memory: those that do not fit, and those whose number is not found in time, keep their estimates, and so do all after
// a crash. It is safe for concurrent use. Create one with NewReconciler.
type Reconciler struct {
	readable atomic.Bool // the newest attachment has a source that can be read

	mu          sync.Mutex
	pending     map[string]*pendingAnswer // by request ID
	attachments []*attachment             // the newest one last
}

type pendingAnswer struct {
	Answer
	ended time.Time
	due   time.Time // of the next read
	reads int       // so far, without those that failed
	last  int64     // tokens that the last read has found; 0: none
}

// attachment are the sources of one configuration. While configurations are replaced there can be several; the newest one reads.
type attachment struct {
	sources []TokenSource
	log     *slog.Logger
	logged  string    // last error, so that it is logged once
	until   time.Time // no reads before this time
}

// NewReconciler returns a reconciler without sources, which keeps all estimates.
func NewReconciler() *Reconciler { return &Reconciler{pending: map[string]*pendingAnswer{}} }

// Add takes over the estimate of an answer.
func (r *Reconciler) Add(a Answer) {
	if !r.add(a, time.Now()) {
		a.keep()
	}
}

func (r *Reconciler) add(a Answer, now time.Time) bool {
	if a.RequestID == "" || !r.readable.Load() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.attachments) == 0 || len(r.pending) >= maxPending || r.pending[a.RequestID] != nil {
		return false
	}
	p := &pendingAnswer{Answer: a, ended: now}
	p.due = now.Add(p.schedule()[0])
	r.pending[a.RequestID] = p
	return true
}

func (p *pendingAnswer) schedule() []time.Duration {
	if p.Complete {
		return readAfter[:]
	}
	return readInterruptedAfter[:]
}

// Attach makes the reconciler read these sources, until detach is called. detach waits for a read in progress, and keeps the estimates if
// there are no other sources.
func (r *Reconciler) Attach(log *slog.Logger, sources ...TokenSource) (detach func()) {
	if len(sources) == 0 {
		return func() {}
	}
	a := &attachment{sources: sources, log: log}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	r.mu.Lock()
	r.attachments = append(r.attachments, a)
	r.readable.Store(true)
	r.mu.Unlock()
	running.Go(func() { r.run(ctx, a) })
	return func() {
		cancel()
		running.Wait()
		r.detach(a)
	}
}

func (r *Reconciler) detach(a *attachment) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attachments = slices.DeleteFunc(r.attachments, func(other *attachment) bool { return other == a })
	if len(r.attachments) > 0 {
		return
	}
	r.readable.Store(false)
	for id, p := range r.pending {
		delete(r.pending, id)
		p.keep()
	}
}

func (r *Reconciler) run(ctx context.Context, a *attachment) {
	tick := time.NewTicker(reconcileEvery)
	defer tick.Stop()
	defer a.close()
	for {
		select {
		case <-tick.C:
			r.tick(ctx, a, time.Now())
		case <-ctx.Done():
			return
		}
	}
}

// tick reads the numbers of some answers that are due.
func (r *Reconciler) tick(ctx context.Context, a *attachment, now time.Time) {
	due, idle := r.takeDue(a, now)
	if idle {
		a.close()
	}
	if len(due) == 0 {
		return
	}
	limited, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	result := a.read(limited, due)
	if ctx.Err() != nil {
		return // detached; other sources will read the numbers
	}
	r.finish(a, due, &result, now)
}

// takeDue returns answers whose number is to be read, the oldest first. idle reports whether a needs no connections.
func (r *Reconciler) takeDue(a *attachment, now time.Time) (due []*pendingAnswer, idle bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.isNewest(a) || now.Before(a.until) {
		return nil, true
	}
	r.readable.Store(true)
	for _, p := range r.pending {
		if !p.due.After(now) {
			due = append(due, p)
		}
	}
	slices.SortFunc(due, func(p, q *pendingAnswer) int { return p.due.Compare(q.due) })
	return due[:min(len(due), batchSize)], len(r.pending) == 0
}

// isNewest reports whether a is the newest attachment. The caller must hold the mutex.
func (r *Reconciler) isNewest(a *attachment) bool { return r.attachments[len(r.attachments)-1] == a }

// finish ends the answers whose number was found, or is not awaited any longer.
func (r *Reconciler) finish(a *attachment, due []*pendingAnswer, result *readResult, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a.note(result.err)
	switch {
	case result.unreadable:
		a.until = now.Add(unreadablePause)
		if r.isNewest(a) {
			r.readable.Store(false)
		}
	case result.failed:
		a.until = now.Add(failedPause)
	}
	for _, p := range due {
		if r.pending[p.RequestID] != p {
			continue // ended by another attachment
		}
		tokens, found := result.tokens[p.RequestID]
		switch {
		case found && (p.Complete || p.reads > 0 && tokens == p.last):
			p.correct(tokens)
		case result.unreadable, result.failed && now.Sub(p.ended) > maxAge:
			p.keep()
		case result.failed && !found:
			continue
		default:
			p.last = tokens
			if p.reads++; p.reads < len(p.schedule()) {
				p.due = now.Add(p.schedule()[p.reads] - p.schedule()[p.reads-1])
				continue
			}
			p.keep()
		}
		delete(r.pending, p.RequestID)
	}
}

// readResult is the result of reading all sources.
type readResult struct {
	tokens     map[string]int64 // by request ID
	err        error            // to be logged
	failed     bool             // a source could not be read for now, so it may have more
	unreadable bool             // no source can be read
}

// read asks the sources in turn.
func (a *attachment) read(ctx context.Context, answers []*pendingAnswer) (result readResult) {
	ids := make([]string, len(answers))
	for i, p := range answers {
		ids[i] = p.RequestID
	}
	result.tokens = make(map[string]int64, len(ids))
	unreadable := 0
	for _, source := range a.sources {
		tokens, err := source.Tokens(ctx, ids)
		if _, ok := errors.AsType[*UnreadableError](err); ok {
			unreadable++
		} else if err != nil {
			result.failed = true
		}
		result.err = errors.Join(result.err, err)
		maps.Copy(result.tokens, tokens)
		ids = slices.DeleteFunc(ids, func(id string) bool { _, found := tokens[id]; return found })
		if len(ids) == 0 {
			break
		}
	}
	result.unreadable = unreadable == len(a.sources)
	return result
}

func (a *attachment) close() {
	for _, source := range a.sources {
		source.Close()
	}
}

// note logs an error once.
func (a *attachment) note(err error) {
	switch {
	case err == nil && a.logged != "":
		a.logged = ""
		a.log.Info("the tokens of answers can be read again")
	case err != nil && err.Error() != a.logged:
		a.logged = err.Error()
		a.log.Warn("the tokens of answers cannot be read, so the quotas of keys count estimates", "error", err)
	}
}
