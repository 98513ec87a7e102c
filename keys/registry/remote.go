package registry

import (
	"context"
	"errors"
	"time"
)

// ErrUnavailable means that a storage in another system is unavailable: nothing can be written, and only what feeds need can be read. The
// error that wraps it says why. The same call may succeed later.
var ErrUnavailable = errors.New("the key store is unavailable")

// ErrHistory means that a position is not a part of the storage's history, so the changes since then are unknown: the storage was
// restored from a backup, or it has lost writes in a failover.
var ErrHistory = errors.New("the key store has another history")

// Position identifies a state of a storage that several processes write to. The zero Position is before the first write.
type Position struct {
	Store     string // random; identifies the storage
	Revision  uint64 // newest revision of a record or an override
	Commit    string // random; identifies the write with this revision
	Overrides uint64 // newest revision of an override; changes with each write of an override
}

// RemoteStorage is a SharedStorage in another system that may be unavailable. It has a copy of the records and the overrides for that case.
// All methods but All, Changes, Get, ByDigest and Overrides return an error that wraps ErrUnavailable meanwhile; these read the copy, and
// return that error if there is none.
type RemoteStorage interface {
	SharedStorage

	// ReadAll is All for a feed. If the error wraps ErrUnavailable, ReadCopy can be called instead.
	ReadAll(ctx context.Context, yield func(*Record) error) (Position, error)

	// ReadCopy calls yield for the records of the copy, if there is one, and returns a *keys.StaleError with the cause why they were not
	// read from the storage. Another error means that the copy cannot be used.
	ReadCopy(ctx context.Context, cause error, yield func(*Record) error) (Position, error)

	// ReadChanges is Changes for a feed. An error that wraps ErrHistory means that ReadAll must be called instead.
	ReadChanges(ctx context.Context, after Position, yield func(*Record) error) (Position, error)

	// Current is Get without the copy.
	Current(ctx context.Context, id string) (*Record, error)

	// CurrentOverrides is Overrides without the copy.
	CurrentOverrides(ctx context.Context, yield func(*Override) error) error

	// LastConfirmed returns when the storage last confirmed that the records of the last ReadAll or ReadChanges are current; zero: never.
	LastConfirmed() time.Time

	// MaxStale returns how long the last records may be used while the storage is unavailable.
	MaxStale() time.Duration
}
