package pgstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// channel returns the notification channel of the schema.
func (s *Store) channel() string { return "docsgate_" + s.options.Schema }

// Watch implements registry.Storage. It calls changed for each write of any gate, this one included: immediately by a notification, and
// after PollInterval if that was missed. It returns an error when the connection is lost.
func (s *Store) Watch(ctx context.Context, changed func()) error {
	if err := s.acquire(ctx); err != nil {
		if errors.Is(err, context.Canceled) {
			return nil
		}
		return err
	}
	defer s.release()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(s.closing, cancel)
	defer stop()
	err := s.watch(ctx, changed)
	switch {
	case s.closing.Err() != nil:
		return fmt.Errorf("%s: %w", s.Name(), ErrClosed)
	case ctx.Err() != nil:
		return nil //nolint:nilerr // the end of ctx is the end of the watch
	}
	return s.userError(err)
}

func (s *Store) watch(ctx context.Context, changed func()) error {
	connecting, cancel := context.WithTimeout(ctx, time.Duration(s.address.Hosts)*s.options.Timeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(connecting, s.address.Config.Copy())
	if err != nil {
		return err
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing) // nothing was written
	}()
	if _, err := conn.Exec(connecting, "LISTEN "+pgx.Identifier{s.channel()}.Sanitize()); err != nil {
		return err
	}
	last := uint64(1<<64 - 1) // newest revision that changed was called for
	for {
		revision, err := s.pollRevision(ctx, conn)
		if err != nil {
			return err
		}
		if revision != last { // also a lower one, after a restored backup
			last = revision
			changed()
		}
		if last, err = waitForNotifications(ctx, conn, time.Now().Add(s.options.PollInterval), last, changed); err != nil {
			return err
		}
	}
}

// waitForNotifications calls changed for each notification of another revision than last, until the deadline. It returns the last one.
func waitForNotifications(ctx context.Context, conn *pgx.Conn, deadline time.Time, last uint64, changed func()) (uint64, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			if errors.Is(ctx.Err(), context.DeadlineExceeded) && !conn.IsClosed() {
				return last, nil
			}
			return last, err
		}
		if revision, err := strconv.ParseUint(n.Payload, 10, 64); err == nil && revision != last {
			last = revision
			changed()
		}
	}
}

// pollRevision reads the newest revision.
func (s *Store) pollRevision(ctx context.Context, conn *pgx.Conn) (revision uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		revision, _, err = readState(ctx, tx, "")
		return err
	})
	return revision, err
}
