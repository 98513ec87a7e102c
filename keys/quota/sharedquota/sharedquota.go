// Package sharedquota decides on the questions of keys with quotas by counts that several gates share through Redis or Valkey.
//
// [Limiter] decides as a [quota.Counter] does. The counter continues to count what this gate has admitted: its counts are the true ones,
// and each call of the server replaces what that knows of them. So no correction is needed after an outage or a lost response. After the
// server has lost its data, its counts begin with what the gates know. While it is unavailable each gate admits its share of what is left.
package sharedquota

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/sharedlimits"
)

// maxBatch is the maximum number of questions in one call of the server.
const maxBatch = 64

// Limiter decides on questions over all gates. It is safe for concurrent use. Create one with New.
type Limiter struct {
	conn    *sharedlimits.Conn
	backend string
	local   *quota.Counter

	clock func() time.Time // of gate and server; nil: each has its own

	mu    sync.Mutex // guards keys and ended, and some fields of their values
	keys  map[string]*key
	ended []*key // of which an answer has ended that other gates should know

	reporting sync.Mutex // held while several keys are locked

	wake   chan struct{} // receives a value after a change of ended
	once   sync.Once     // starts run
	wg     sync.WaitGroup
	ctx    context.Context // ends with Close
	stop   context.CancelFunc
	remove func() // the hook of conn
}

// New returns a limiter for the keys of a backend, which may be empty. local counts what is admitted. Close must be called before conn is
// closed.
func New(conn *sharedlimits.Conn, backend string, local *quota.Counter) *Limiter {
	l := &Limiter{conn: conn, backend: backend, local: local, keys: map[string]*key{}, wake: make(chan struct{}, 1)}
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.remove = conn.OnAvailable(l.reportRecent)
	return l
}

// Close informs the server about ended answers. The tokens of others are reserved until their lease expires. The limiter may still be used;
// what ends later is reported by the next question.
func (l *Limiter) Close() {
	l.remove()
	l.stop()
	l.once.Do(func() {}) // not started: never start
	l.wg.Wait()
	_ = l.report(context.Background(), l.all(), time.Now(), isChanged) // otherwise the lease expires
}

// key is what the limiter knows about a key.
type key struct {
	id string

	users int  // guarded by Limiter.mu
	ended bool // the key is in Limiter.ended; guarded by Limiter.mu

	tokens atomic.Bool // the tokens of the key were limited in a question

	waiting waiting

	// deciding is held during a call of the server for the key, and guards the following.
	deciding sync.Mutex

	period *quota.Period // of the last question
	seen   record        // counts of all gates after the last successful call

	// reported is what the server knows of this gate since the last successful call, and reportedAt when that was.
	reported         record
	reportedReserved int64
	reportedAt       time.Time

	confirmAt time.Time // when to call again, since other gates may know more; zero: not
	alone     *share    // nil: the server has been available for a while
}

// record are counts with their period.
type record struct {
	day, month int32
	quota.Counts
}

// in returns the counts that belong to the period of a state.
func (r *record) in(st *quota.State) quota.Counts { return r.In(r.day, r.month, st.Day, st.Month) }

// waiting are questions that are decided on with the next call.
type waiting struct {
	mu        sync.Mutex
	questions []*question
}

// question is a question of a client. It is guarded by key.deciding.
type question struct {
	period *quota.Period
	limits quota.Limits
	dryRun quota.Set

	done        bool
	reservation quota.Reservation
	decision    quota.Decision
}

// Reserve is [quota.Counter.Reserve] for the questions at all gates. It takes a round trip to the server, which concurrent questions of a key
// share.
func (l *Limiter) Reserve(p *quota.Period, id string, limits quota.Limits, dryRun quota.Set) (quota.Reservation, quota.Decision) {
	l.once.Do(func() { l.wg.Go(l.run) })
	k := l.enter(id)
	defer l.leave(k)
	q := &question{period: p, limits: limits, dryRun: dryRun}
	k.waiting.mu.Lock()
	k.waiting.questions = append(k.waiting.questions, q)
	k.waiting.mu.Unlock()
	k.deciding.Lock()
	defer k.deciding.Unlock()
	for !q.done { // usually the holder of the lock before has decided on it, or the first batch contains it
		l.decide(k, k.waiting.take())
	}
	return q.reservation, q.decision
}

// take removes the oldest questions.
func (w *waiting) take() []*question {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := min(len(w.questions), maxBatch)
	batch := w.questions[:n:n]
	if w.questions = w.questions[n:]; len(w.questions) == 0 {
		w.questions = nil
	}
	return batch
}

func (l *Limiter) enter(id string) *key {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.keys[id]
	if k == nil {
		k = &key{id: id}
		l.keys[id] = k
	}
	k.users++
	return k
}

func (l *Limiter) leave(k *key) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k.users--
}

// Ended implements quota.EndObserver. The server is informed in the background; a question of the same key that comes earlier informs it, too.
func (l *Limiter) Ended(id string, released bool) {
	l.mu.Lock()
	k := l.keys[id]
	// Otherwise other gates need the number only if tokens are limited later.
	due := k != nil && !k.ended && (released || k.tokens.Load())
	if due {
		k.ended = true
		l.ended = append(l.ended, k)
	}
	l.mu.Unlock()
	if !due {
		return
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

var _ quota.EndObserver = (*Limiter)(nil)
