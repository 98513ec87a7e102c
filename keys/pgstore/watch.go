package pgstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/docsgate/docsgate/keys/registry"
)

// channel returns the notification channel of the schema.
func (s *Store) channel() string { return "docsgate_" + s.options.Schema }

// Watch implements registry.Storage. It calls changed for each write of any gate, this one included: immediately by a notification, and
// after PollInterval if that was missed. It returns an error when the connection is lost.
func (s *Store) Watch(ctx context.Context, changed func()) error {
	var last registry.Position
	first := true
	return s.Follow(ctx, func(p registry.Position) {
		if first || p != last { // also a lower revision, after a restored backup
			first, last = false, p
			changed()
		}
	})
}

// Follow implements replica.Remote. Like Watch, it learns of a write by a notification or by the next poll.
func (s *Store) Follow(ctx context.Context, seen func(registry.Position)) error {
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
	err := s.follow(ctx, seen)
	switch {
	case s.closing.Err() != nil:
		return fmt.Errorf("%s: %w", s.Name(), ErrClosed)
	case ctx.Err() != nil:
		return nil //nolint:nilerr // the end of ctx is the end of the watch
	}
	return s.userError(err)
}

func (s *Store) follow(ctx context.Context, seen func(registry.Position)) error {
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
	for {
		p, err := s.pollPosition(ctx, conn)
		if err != nil {
			return err
		}
		seen(p)
		if err := waitForNotification(ctx, conn, time.Now().Add(s.options.PollInterval), p.Revision); err != nil {
			return err
		}
	}
}

// waitForNotification waits for the notification of a revision after last, or until the deadline.
func waitForNotification(ctx context.Context, conn *pgx.Conn, deadline time.Time, last uint64) error {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	for {
		n, err := conn.WaitForNotification(ctx)
		if err != nil {
			if errors.Is(ctx.Err(), context.DeadlineExceeded) && !conn.IsClosed() {
				return nil
			}
			return err
		}
		if revision, err := strconv.ParseUint(n.Payload, 10, 64); err == nil && revision > last {
			return nil
		}
	}
}

// pollPosition reads the current position.
func (s *Store) pollPosition(ctx context.Context, conn *pgx.Conn) (p registry.Position, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	defer cancel()
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		p, err = readPosition(ctx, tx)
		return err
	})
	return p, err
}
