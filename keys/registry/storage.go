package registry

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/countersync"
	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/keys/usage"
)

// Errors of a Storage, possibly wrapped.
var (
	ErrNotFound = errors.New("there is no such key")
	ErrConflict = errors.New("the key was changed concurrently")
	ErrExists   = errors.New("the id or the token belongs to another key")
)

// Storage durably stores records, the audit trail, the usage and the quotas of keys. It is safe for concurrent use. Its errors are meant for
// operators and contain no secret, token or digest. Returned records belong to the caller, and records passed to Write are not
// retained.
type Storage interface {
	// Name returns a short name for logs and metrics, such as "store:/var/lib/caddy/docsgate/keys.db".
	Name() string

	// All calls yield for each record of a consistent snapshot, sorted by ID, and returns the revision of the snapshot. An error
	// of yield stops it and is returned.
	All(ctx context.Context, yield func(*Record) error) (revision uint64, err error)

	// Changes calls yield for each record that was written after a revision, and returns the newest revision.
	Changes(ctx context.Context, after uint64, yield func(*Record) error) (revision uint64, err error)

	// Get returns a record, or ErrNotFound.
	Get(ctx context.Context, id string) (*Record, error)

	// ByDigest returns the record with a current or previous token that has this digest, or ErrNotFound.
	ByDigest(ctx context.Context, d keys.Digest) (*Record, error)

	// Write stores records and audit entries atomically: if it returns nil, everything is durable, otherwise nothing is stored.
	// If a stored record becomes a deleted one, its usage and its quotas are removed.
	// A record with revision 0 is new: its ID must not exist (ErrExists). The revision of another record must be the stored one
	// (ErrConflict). The digests of current and previous tokens must not belong to another record (ErrExists). Write sets the
	// Revision of the records and the Seq of the entries.
	Write(ctx context.Context, records []*Record, entries []*AuditEntry) error

	// WriteOverride stores the override of a key of another feed and an audit entry atomically, or removes the stored one if o
	// overrides nothing. o.Revision must be that of the stored one, 0 if there is none (ErrConflict). WriteOverride sets the Revision
	// of o and the Seq of the entry.
	WriteOverride(ctx context.Context, o *Override, entry *AuditEntry) error

	// Overrides calls yield for each stored override, sorted by ID. An error of yield stops it and is returned.
	Overrides(ctx context.Context, yield func(*Override) error) error

	// Audit returns at most limit entries, newest first: those with a Seq lower than before (0: all), and if key is not empty,
	// only those of that key.
	Audit(ctx context.Context, key string, before uint64, limit int) ([]AuditEntry, error)

	// PutIdempotencyRecord stores a short text under a name, replacing the previous one, for requests with an Idempotency-Key.
	PutIdempotencyRecord(ctx context.Context, name, text string) error

	// GetIdempotencyRecord returns a text stored by PutIdempotencyRecord, or "" if there is none. A storage may remove it after
	// 24 hours.
	GetIdempotencyRecord(ctx context.Context, name string) (string, error)

	// SaveUse stores the usage of keys, replacing the stored usage of the same keys.
	SaveUse(ctx context.Context, rows []usage.Row) error

	// Use calls yield for each stored row. An error of yield stops it and is returned.
	Use(ctx context.Context, yield func(usage.Row) error) error

	// The quotas of keys.
	quota.Storage

	// Watch calls changed when records may have been written by others than the user of this Storage, for example by another
	// process. It returns nil when ctx is canceled. changed does not block.
	Watch(ctx context.Context, changed func()) error

	// Backup writes a consistent copy of everything, in the storage's own format. It does not block other calls.
	Backup(ctx context.Context, w io.Writer) error

	// Close closes the storage after all calls in progress have returned.
	Close() error
}

// SharedStorage is a Storage that several gates use at the same time. Each of them adds what it has counted to the usage and the quotas,
// instead of replacing the rows with SaveUse and SaveQuotas; Use and Quotas return the totals.
type SharedStorage interface {
	Storage

	// SharedUse returns the usage of keys.
	SharedUse() countersync.Storage[usage.Row]

	// SharedQuotas returns the quotas of keys.
	SharedQuotas() countersync.Storage[quota.Row]
}

// maxIdempotencyName is the maximum length of the name of an idempotency record, in bytes.
const maxIdempotencyName = 4096

// CheckIdempotencyName returns an error if a storage must not accept a name for an idempotency record.
func CheckIdempotencyName(name string) error {
	if name == "" || len(name) > maxIdempotencyName {
		return fmt.Errorf("the name of an idempotency record must have 1 to %d bytes", maxIdempotencyName)
	}
	return nil
}
