// Package countersynctest is a countersync.Storage in memory, for tests.
package countersynctest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/docsgate/docsgate/keys/countersync"
)

// Memory is a countersync.Storage in memory that can fail. It is safe for concurrent use. Create one with New.
type Memory[R any] struct {
	id      func(R) string
	add     func(total, delta R, now time.Time) R
	expired func(R, time.Time) bool

	mu       sync.Mutex // guards the following
	now      time.Time
	fail     func() error
	rows     map[string]row[R]
	writers  map[string]uint64
	revision uint64
}

type row[R any] struct {
	total    R
	revision uint64
}

// New returns an empty storage. add and expired get the time of SetNow.
func New[R any](id func(R) string, add func(total, delta R, now time.Time) R, expired func(R, time.Time) bool) *Memory[R] {
	return &Memory[R]{id: id, add: add, expired: expired, now: time.Now(), rows: map[string]row[R]{}, writers: map[string]uint64{}}
}

// ErrLost is the error of a call whose connection was lost.
var ErrLost = errors.New("the connection was lost")

// SetNow sets the clock of the storage.
func (m *Memory[R]) SetNow(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = now
}

// SetFail makes the storage call fail at the beginning of each call, and again after an Add was stored. The call returns its error. Nil: no
// failures.
func (m *Memory[R]) SetFail(fail func() error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = fail
}

func (m *Memory[R]) failure() error {
	if m.fail == nil {
		return nil
	}
	return m.fail()
}

// Total returns the total of a key.
func (m *Memory[R]) Total(id string) (total R, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, ok := m.rows[id]
	return r.total, ok
}

// Add implements countersync.Storage.
func (m *Memory[R]) Add(_ context.Context, b countersync.Batch[R]) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.failure(); err != nil {
		return err
	}
	if m.writers[b.Writer] >= b.Seq {
		return m.failure()
	}
	m.writers[b.Writer] = b.Seq
	for _, delta := range b.Deltas {
		id := m.id(delta)
		m.revision++
		m.rows[id] = row[R]{m.add(m.rows[id].total, delta, m.now), m.revision}
	}
	return m.failure()
}

// Changes implements countersync.Storage.
func (m *Memory[R]) Changes(_ context.Context, after uint64) (rows []R, revision uint64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.failure(); err != nil {
		return nil, 0, err
	}
	var changed []row[R]
	for _, r := range m.rows {
		if r.revision > after {
			changed = append(changed, r)
		}
	}
	slices.SortFunc(changed, func(a, b row[R]) int { return cmp.Compare(a.revision, b.revision) })
	revision = m.revision
	if len(changed) >= countersync.MaxRows {
		changed = changed[:countersync.MaxRows]
		revision = changed[len(changed)-1].revision
	}
	for _, r := range changed {
		rows = append(rows, r.total)
	}
	return rows, revision, nil
}

// Prune implements countersync.Storage.
func (m *Memory[R]) Prune(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, r := range m.rows {
		if m.expired != nil && m.expired(r.total, m.now) {
			delete(m.rows, id)
		}
	}
	return m.failure()
}
