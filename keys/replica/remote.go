package replica

import (
	"context"

	"github.com/docsgate/docsgate/keys/registry"
)

// Remote is a storage in another system that several gates write to, such as *pgstore.Store. Errors that wrap registry.ErrUnavailable mean
// that the system is unavailable, and that a later call may succeed; other errors need an operator.
type Remote interface {
	registry.SharedStorage

	// Connect makes the storage usable. Before it has succeeded, all methods but Name and Close may fail.
	Connect(ctx context.Context) error

	// Read reads a consistent snapshot. It calls begin once, and then yield for the records that Query.All says. An error of either stops
	// it and is returned.
	Read(ctx context.Context, q Query, begin func(*Snapshot) error, yield func(*registry.Record) error) error

	// Follow calls seen with the current position at the beginning, after each write of any gate, and regularly. It returns nil when ctx is
	// canceled, and an error as soon as the connection is lost. seen does not block.
	Follow(ctx context.Context, seen func(registry.Position)) error
}

// Query is what Remote.Read reads.
type Query struct {
	// Known are earlier positions of one storage, newest first. Snapshot says whether they are in the history of the storage.
	Known []registry.Position
	// All selects all records, sorted by ID. Otherwise only those that were written after the first known position are read, in the order
	// of their writes; but all if it is not in the history, or if none is known.
	All bool
	// Slow means that yield writes to a disk, so that the read may take minutes.
	Slow bool
}

// Snapshot describes what Remote.Read reads.
type Snapshot struct {
	At           registry.Position
	History      History
	Common       uint64               // newest revision of the known positions that is in the history; 0: none
	HasOverrides bool                 // an override may have changed, so Overrides has all
	Overrides    []*registry.Override // sorted by ID
}

// History is the relation of known positions to the history of a storage.
type History int

// The histories.
const (
	Other    History = iota // nothing is known, or of another storage
	Same                    // the newest known position is in the history
	Unknown                 // the newest known position is too old to be checked
	Diverged                // the newest known position is not in the history: the storage has lost writes
)
