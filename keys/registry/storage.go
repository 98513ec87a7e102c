package registry

import (
	"context"
	"errors"
	"io"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/usage"
)

// Errors of a Storage. They are wrapped in ones that say more.
var (
	ErrNotFound = errors.New("there is no such key")
	ErrConflict = errors.New("the key was changed by somebody else in the meantime")
	ErrExists   = errors.New("the id or the token belongs to another key")
)

// Storage keeps records, the audit trail and the use of keys durably. It is safe for concurrent use. The texts of its
// errors are for operators and hold no secret, token or digest. Records that it hands out belong to who gets them, and those
// that Write gets stay the caller's.
type Storage interface {
	// Name is a short name for logs and metrics, such as "store:/var/lib/caddy/docsgate/keys.db".
	Name() string

	// All calls yield for each record as of one moment, in the order of their IDs, and returns the revision of that
	// moment. An error of yield ends it.
	All(ctx context.Context, yield func(*Record) error) (revision uint64, err error)

	// Changes calls yield for each record that was written after a revision, and returns the newest revision.
	Changes(ctx context.Context, after uint64, yield func(*Record) error) (revision uint64, err error)

	// Get returns a record, or ErrNotFound.
	Get(ctx context.Context, id string) (*Record, error)

	// ByDigest returns the record one of whose tokens, current or old, has this digest, or ErrNotFound.
	ByDigest(ctx context.Context, d keys.Digest) (*Record, error)

	// Write stores records and audit entries together: when it returns nil all of it is durable, else nothing is stored.
	// A record with revision 0 is new: its ID must be free (ErrExists). Any other must still have that revision in the
	// storage (ErrConflict). A digest, current or old, that belongs to another record is ErrExists. Revision of the records
	// and Seq of the entries are set by Write.
	Write(ctx context.Context, records []*Record, entries []*AuditEntry) error

	// Audit returns entries, the newest first: at most limit, those with a Seq below before (0: from the newest), and of
	// one key only if key is not empty.
	Audit(ctx context.Context, key string, before uint64, limit int) ([]AuditEntry, error)

	// PutIdempotencyRecord stores a short text under a name for later. It serves repeated requests (Idempotency-Key).
	PutIdempotencyRecord(ctx context.Context, name, text string) error

	// GetIdempotencyRecord returns a text that was remembered, or "" if there is none or it is older than its storage keeps such (at
	// least 24 hours).
	GetIdempotencyRecord(ctx context.Context, name string) (string, error)

	// SaveUse stores the use of keys, replacing what was known of them.
	SaveUse(ctx context.Context, rows []usage.Row) error

	// Use calls yield for all use that is stored.
	Use(ctx context.Context, yield func(usage.Row) error) error

	// Watch calls changed whenever somebody else than this Storage's user may have written, until ctx ends; then it
	// returns nil. changed does not block.
	Watch(ctx context.Context, changed func()) error

	// Backup writes a copy of everything as of one moment, in the storage's own form, while it is in use.
	Backup(ctx context.Context, w io.Writer) error

	// Close lets go of the storage, once what is under way has ended.
	Close() error
}
