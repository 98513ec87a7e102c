package quota

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/docsgate/docsgate/keys/countersync"
)

const (
	saveEvery   = time.Second
	saveTimeout = 10 * time.Second
	loadTimeout = time.Minute

	// retryTicks is the number of saveEvery between attempts after a failure.
	retryTicks = 10
)

// SaverOptions configures a Saver.
type SaverOptions struct {
	Counter *Counter

	// Open opens the storage. If there is none yet and create is false, it returns nil. A storage that implements io.Closer is
	// closed by Saver.Close.
	Open func(ctx context.Context, create bool) (Storage, error)

	Log    *slog.Logger     // logs failures; nil: no logging
	Failed func()           // is called for each failure; nil: nothing is
	Now    func() time.Time // nil: time.Now
}

// Saver keeps the counts of a Counter in a Storage. A failure is logged once, and retried; meanwhile the counts are only in memory. With a
// SharedStorage it adds the counts to the totals of all gates, and makes the Counter know those.
//
// While configurations are replaced, a counter can have several savers. Only the newest one saves.
type Saver struct {
	o        SaverOptions
	calendar *Calendar
	expired  int32 // day of the last call of Counter.expire

	mu      sync.Mutex               // guards the following; one save at a time
	storage Storage                  // nil: it is not open
	shared  *countersync.Syncer[Row] // nil: storage is nil or not shared
	name    string                   // of the totals
	unread  bool                     // the stored counts could not be read yet
	wait    int                      // calls of tick until the next attempt
	logged  string                   // last error, so that it is logged once
}

// savers are the savers of a counter, the newest one last.
type savers struct {
	mu       sync.Mutex
	list     []*Saver
	restored bool   // a storage was read once
	sharing  *Saver // whose storage has the totals that the Counter knows; nil: none
}

// NewSaver returns a saver. Call Restore, Run and Close, in this order.
func NewSaver(o SaverOptions) *Saver {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Failed == nil {
		o.Failed = func() {}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Saver{o: o, calendar: NewCalendar(nil)}
}

// Restore restores the stored counts, and makes the saver the newest one. After an error, Run tries again.
func (s *Saver) Restore(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := &s.o.Counter.saving
	all.mu.Lock()
	all.list = append(all.list, s)
	all.mu.Unlock()
	err := s.open(ctx, false)
	switch {
	case err != nil:
		s.o.Counter.markAll()
	case s.storage == nil:
		all.mu.Lock()
		all.restored = true // there is nothing to restore
		all.mu.Unlock()
		s.o.Counter.markAll()
	}
	return err
}

// open opens the storage unless it is open, and restores its rows.
func (s *Saver) open(ctx context.Context, create bool) error {
	if s.storage != nil {
		return nil
	}
	storage, err := s.o.Open(ctx, create)
	if s.unread = err != nil; err != nil || storage == nil {
		return err
	}
	if shared, ok := storage.(SharedStorage); ok {
		if table := shared.SharedQuotas(); table != nil {
			return s.openShared(ctx, shared, table)
		}
	}
	rows := map[string]Row{}
	if err := storage.Quotas(ctx, func(row Row) error {
		rows[row.ID] = row
		return nil
	}); err != nil {
		s.unread = true
		return errors.Join(fmt.Errorf("reading the quotas: %w", err), closeStorage(storage))
	}
	all := &s.o.Counter.saving
	all.mu.Lock()
	defer all.mu.Unlock()
	for _, row := range rows {
		s.o.Counter.restore(row, !all.restored)
	}
	all.restored = true
	s.storage = storage
	s.o.Counter.markOthers(rows)
	return nil
}

// Run saves changes every second until ctx is canceled.
func (s *Saver) Run(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.tick(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// tick saves changes. After a failure it waits for some calls.
func (s *Saver) tick(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wait > 0 {
		s.wait--
		return
	}
	if err := s.save(ctx); err != nil {
		s.wait = retryTicks - 1
	}
}

// save saves the changes, and removes keys of past months. Errors are logged.
func (s *Saver) save(ctx context.Context) error {
	if !s.isNewest() {
		return nil
	}
	timeout := saveTimeout
	if s.unread {
		timeout = loadTimeout
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	if p := s.calendar.At(s.o.Now()); p.day != s.expired {
		s.o.Counter.expire(p)
		s.expired = p.day
	}
	if err := s.saveChanges(ctx); err != nil {
		s.o.Failed()
		if text := err.Error(); text != s.logged {
			s.logged = text
			s.o.Log.Error("saving the quotas of keys failed; they are counted in memory, and saving is retried", "error", err)
		}
		return err
	}
	if s.logged != "" {
		s.logged = ""
		s.o.Log.Info("the quotas of keys are saved again")
	}
	return nil
}

func (s *Saver) saveChanges(ctx context.Context) error {
	if s.unread { // other gates have counted there, too
		if err := s.open(ctx, false); err != nil {
			return err
		}
	}
	if s.shared != nil {
		return s.sync(ctx)
	}
	c := s.o.Counter
	rows, remove := c.takeChanges()
	if len(rows) == 0 && len(remove) == 0 {
		return nil
	}
	err := s.open(ctx, true)
	if err == nil && s.shared != nil { // it would replace the counts of other gates
		c.returnChanges(rows, remove)
		return s.sync(ctx)
	}
	if err == nil {
		err = s.storage.SaveQuotas(ctx, rows, remove)
	}
	if err != nil {
		c.returnChanges(rows, remove)
	}
	return err
}

func (s *Saver) isNewest() bool {
	all := &s.o.Counter.saving
	all.mu.Lock()
	defer all.mu.Unlock()
	return len(all.list) > 0 && all.list[len(all.list)-1] == s
}

// Close saves the changes, and closes the storage. Then the previous saver, if there is one, saves all counts.
func (s *Saver) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.save(context.Background())
	all := &s.o.Counter.saving
	all.mu.Lock()
	newest := len(all.list) > 0 && all.list[len(all.list)-1] == s
	all.list = slices.DeleteFunc(all.list, func(o *Saver) bool { return o == s })
	all.mu.Unlock()
	if newest {
		s.o.Counter.markAll()
	}
	if s.storage == nil {
		return err
	}
	return errors.Join(err, closeStorage(s.storage))
}

func closeStorage(storage Storage) error {
	if closer, ok := storage.(io.Closer); ok {
		return closer.Close()
	}
	return nil
}
