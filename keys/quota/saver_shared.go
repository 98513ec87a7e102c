package quota

import (
	"context"
	"errors"
	"fmt"

	"github.com/docsgate/docsgate/keys/countersync"
)

// openShared reads the totals of a storage that was opened, and closes it after an error.
func (s *Saver) openShared(ctx context.Context, storage SharedStorage, table countersync.Storage[Row]) error {
	c := s.o.Counter
	syncer := countersync.NewSyncer(table, c.takeDeltas, func(rows []Row) { c.applyTotals(rows, s.period()) })
	s.name = storage.Name()
	if err := s.join(ctx, syncer); err != nil {
		s.unread = true
		return errors.Join(err, closeStorage(storage))
	}
	s.storage, s.shared = storage, syncer
	return nil
}

// join makes the counter know the totals of the saver's storage.
func (s *Saver) join(ctx context.Context, syncer *countersync.Syncer[Row]) error {
	c := s.o.Counter
	c.saving.mu.Lock()
	previous := c.saving.sharing
	first := previous == nil && !c.saving.restored
	if first {
		c.saving.sharing = s // from the first total on
	}
	c.saving.mu.Unlock()
	apply := c.applyTotals // the counts so far are of questions that the totals do not contain
	switch {
	case first, previous == s:
	case previous != nil && previous.name == s.name: // such as with another password
		previous.handOver(syncer)
	default:
		c.forgetTotals()
		apply = c.mergeTotals
	}
	if err := syncer.Load(ctx, func(rows []Row) { apply(rows, s.period()) }); err != nil {
		return fmt.Errorf("reading the quotas: %w", err)
	}
	c.saving.mu.Lock()
	defer c.saving.mu.Unlock()
	c.saving.restored, c.saving.sharing = true, s
	return nil
}

// handOver makes a syncer of the same totals continue with what this saver has taken.
func (s *Saver) handOver(to *countersync.Syncer[Row]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shared != nil {
		to.TakeOver(s.shared)
	}
}

// sync adds changes to the totals, and reads those of other gates.
func (s *Saver) sync(ctx context.Context) error {
	all := &s.o.Counter.saving
	all.mu.Lock()
	known := all.sharing == s
	all.mu.Unlock()
	if !known { // a later saver has had another storage
		if err := s.join(ctx, s.shared); err != nil {
			return err
		}
	}
	return s.shared.Sync(ctx)
}

// period returns the current period in the time zone of the quotas.
func (s *Saver) period() *Period {
	calendar := s.calendar
	if latest := s.o.Counter.latest.Load(); latest != nil {
		calendar = latest.calendar
	}
	return calendar.At(s.o.Now())
}
