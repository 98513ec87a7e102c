package pgstore

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/docsgate/docsgate/keys/boltstore"
	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
)

// backupTimeout is the timeout of reading everything for a backup, and of writing it to a file.
const backupTimeout = 10 * time.Minute

// Backup implements registry.Storage. It writes a file of boltstore, which can be read and restored without PostgreSQL. The file is first
// written to the folder for temporary files.
func (s *Store) Backup(ctx context.Context, w io.Writer) error {
	dir, err := os.MkdirTemp("", "docsgate-backup-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	copied, err := boltstore.Open(ctx, boltstore.Options{Path: filepath.Join(dir, "keys.db")})
	if err != nil {
		return err
	}
	err = s.Snapshot(ctx, func(ctx context.Context, from registry.Source) error { return registry.Copy(ctx, from, copied) })
	if err == nil {
		err = copied.Backup(ctx, w)
	}
	return errors.Join(err, copied.Close())
}

// Snapshot calls f with the content of one moment. It returns errors of f unchanged.
func (s *Store) Snapshot(ctx context.Context, f func(context.Context, registry.Source) error) error {
	return s.view(ctx, backupTimeout, func(ctx context.Context, tx pgx.Tx) error {
		if err := f(ctx, snapshot{tx}); err != nil {
			return &callbackError{err}
		}
		return nil
	})
}

// snapshot is the registry.Source of a transaction.
type snapshot struct{ tx pgx.Tx }

func (s snapshot) All(ctx context.Context, yield func(*registry.Record) error) (uint64, error) {
	return allRecords(ctx, s.tx, yield)
}

func (s snapshot) Overrides(ctx context.Context, yield func(*registry.Override) error) error {
	return eachOverride(ctx, s.tx, yield)
}

func (s snapshot) Audit(ctx context.Context, key string, before uint64, limit int) ([]registry.AuditEntry, error) {
	return readAudit(ctx, s.tx, key, before, limit)
}

func (s snapshot) Use(ctx context.Context, yield func(usage.Row) error) error {
	return eachUse(ctx, s.tx, yield)
}

func (s snapshot) Quotas(ctx context.Context, yield func(quota.Row) error) error {
	return eachQuota(ctx, s.tx, yield)
}
