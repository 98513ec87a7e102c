package replica

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

// copyWait is how long a change waits for the copy, so that a gate that is killed does not forget a revocation that it has enforced. A
// slow disk must not delay the change longer.
const copyWait = 250 * time.Millisecond

// ReadAll implements registry.RemoteStorage.
func (s *Storage) ReadAll(ctx context.Context, yield func(*registry.Record) error) (registry.Position, error) {
	if err := s.available(ctx); err != nil {
		return registry.Position{}, err
	}
	if err := s.reconcile(ctx); err != nil {
		return registry.Position{}, err
	}
	s.mu.Lock()
	loaded := s.loaded
	s.mu.Unlock()
	known := s.copy.known()
	copied := uint64(0)
	if len(known) > 0 {
		copied = known[0].Revision
	}
	if loaded.Revision > copied { // the copy could not be written
		known = append([]registry.Position{loaded}, known...)
	}
	start, snap := time.Now(), (*Snapshot)(nil)
	err := s.remote.Read(ctx, Query{Known: known, All: true}, func(begun *Snapshot) error {
		snap = begun
		if snap.History == Diverged && copied > snap.Common {
			return fmt.Errorf("%w: it has lost writes", registry.ErrUnavailable) // since reconcile; the next attempt repeats them
		}
		return nil
	}, yield)
	if err != nil {
		return registry.Position{}, err
	}
	if snap.History == Diverged {
		s.reportLoss(snap, loaded, 0)
	}
	s.load(snap.At, start)
	return snap.At, nil
}

// ReadChanges implements registry.RemoteStorage.
func (s *Storage) ReadChanges(
	ctx context.Context, after registry.Position, yield func(*registry.Record) error,
) (registry.Position, error) {
	if err := s.available(ctx); err != nil {
		return after, err
	}
	start, at := time.Now(), after
	if err := s.remote.Read(ctx, Query{Known: []registry.Position{after}}, func(snap *Snapshot) error {
		if at = snap.At; snap.History != Same {
			return registry.ErrHistory
		}
		return nil
	}, yield); err != nil {
		return after, err
	}
	s.copy.await(ctx, at, copyWait)
	s.load(at, start)
	return at, nil
}

// load records what a feed has loaded, which was current at a time.
func (s *Storage) load(p registry.Position, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded = p
	if at.After(s.confirmed) {
		s.confirmed = at
	}
}

// ReadCopy implements registry.RemoteStorage.
func (s *Storage) ReadCopy(ctx context.Context, cause error, yield func(*registry.Record) error) (registry.Position, error) {
	s.mu.Lock()
	loaded := s.loaded
	s.mu.Unlock()
	at, confirmed, err := s.copy.read(ctx, loaded, yield)
	if err != nil {
		return registry.Position{}, fmt.Errorf("%w; the copy of the keys cannot be used: %w", cause, err)
	}
	if now := time.Now(); confirmed.After(now) {
		confirmed = now // the clock was set back: a time in the future must not extend max_stale
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loaded = at; s.confirmed.IsZero() {
		s.confirmed = confirmed
	}
	return at, &keys.StaleError{AsOf: s.confirmed, Err: cause}
}

// All implements registry.Storage.
func (s *Storage) All(ctx context.Context, yield func(*registry.Record) error) (revision uint64, err error) {
	err = s.orCopy(ctx, func(from registry.Storage) error {
		revision, err = from.All(ctx, yield)
		return err
	}, &yield)
	return revision, err
}

// Changes implements registry.Storage.
func (s *Storage) Changes(ctx context.Context, after uint64, yield func(*registry.Record) error) (revision uint64, err error) {
	err = s.orCopy(ctx, func(from registry.Storage) error {
		revision, err = from.Changes(ctx, after, yield)
		return err
	}, &yield)
	return revision, err
}

// Get implements registry.Storage.
func (s *Storage) Get(ctx context.Context, id string) (r *registry.Record, err error) {
	err = s.orCopy(ctx, func(from registry.Storage) error {
		r, err = from.Get(ctx, id)
		return err
	}, nil)
	return r, err
}

// ByDigest implements registry.Storage.
func (s *Storage) ByDigest(ctx context.Context, d keys.Digest) (r *registry.Record, err error) {
	err = s.orCopy(ctx, func(from registry.Storage) error {
		r, err = from.ByDigest(ctx, d)
		return err
	}, nil)
	return r, err
}

// Overrides implements registry.Storage.
func (s *Storage) Overrides(ctx context.Context, yield func(*registry.Override) error) error {
	began := false
	counted := func(o *registry.Override) error { began = true; return yield(o) }
	err := s.available(ctx)
	if err == nil {
		err = s.remote.Overrides(ctx, counted)
	}
	if began || !isUnavailable(err) {
		return err
	}
	from := s.copy.storage()
	if from == nil {
		return err
	}
	return from.Overrides(ctx, yield)
}

// Current implements registry.RemoteStorage.
func (s *Storage) Current(ctx context.Context, id string) (*registry.Record, error) {
	if err := s.available(ctx); err != nil {
		return nil, err
	}
	return s.remote.Get(ctx, id)
}

// CurrentOverrides implements registry.RemoteStorage.
func (s *Storage) CurrentOverrides(ctx context.Context, yield func(*registry.Override) error) error {
	if err := s.available(ctx); err != nil {
		return err
	}
	return s.remote.Overrides(ctx, yield)
}

// Count implements registry.SizedStorage.
func (s *Storage) Count(ctx context.Context) (n int, err error) {
	err = s.orCopy(ctx, func(from registry.Storage) error {
		sized, ok := from.(registry.SizedStorage)
		if !ok {
			return errors.ErrUnsupported
		}
		n, err = sized.Count(ctx)
		return err
	}, nil)
	return n, err
}

// orCopy calls f with the remote storage, or with the copy if that is unavailable. yield is called by f, or nil: once it was called, f is
// not called again. What the copy does not have may exist, so that is not an error of the kind "not found".
func (s *Storage) orCopy(ctx context.Context, f func(registry.Storage) error, yield *func(*registry.Record) error) error {
	began := false
	if yield != nil {
		original := *yield
		*yield = func(r *registry.Record) error { began = true; return original(r) }
	}
	err := s.available(ctx)
	if err == nil {
		err = f(s.remote)
	}
	if began || !isUnavailable(err) {
		return err
	}
	from := s.copy.storage()
	if from == nil {
		return err
	}
	if copyErr := f(from); !errors.Is(copyErr, registry.ErrNotFound) {
		return copyErr
	}
	return err
}
