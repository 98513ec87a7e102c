package replica

import (
	"context"
	"io"

	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
)

// The following methods need the remote storage.

// writable returns nil if records and overrides can be written.
func (s *Storage) writable(ctx context.Context) error {
	if err := s.available(ctx); err != nil {
		return err
	}
	if s.options.BeforeWrite == nil {
		return nil
	}
	return s.options.BeforeWrite(ctx)
}

// Write implements registry.Storage.
func (s *Storage) Write(ctx context.Context, records []*registry.Record, entries []*registry.AuditEntry) error {
	if err := s.writable(ctx); err != nil {
		return err
	}
	return s.remote.Write(ctx, records, entries)
}

// WriteOverride implements registry.Storage.
func (s *Storage) WriteOverride(ctx context.Context, o *registry.Override, entry *registry.AuditEntry) error {
	if err := s.writable(ctx); err != nil {
		return err
	}
	return s.remote.WriteOverride(ctx, o, entry)
}

// Audit implements registry.Storage.
func (s *Storage) Audit(ctx context.Context, key string, before uint64, limit int) ([]registry.AuditEntry, error) {
	if err := s.available(ctx); err != nil {
		return nil, err
	}
	return s.remote.Audit(ctx, key, before, limit)
}

// PutIdempotencyRecord implements registry.Storage.
func (s *Storage) PutIdempotencyRecord(ctx context.Context, name, text string) error {
	if err := s.available(ctx); err != nil {
		return err
	}
	return s.remote.PutIdempotencyRecord(ctx, name, text)
}

// GetIdempotencyRecord implements registry.Storage.
func (s *Storage) GetIdempotencyRecord(ctx context.Context, name string) (string, error) {
	if err := s.available(ctx); err != nil {
		return "", err
	}
	return s.remote.GetIdempotencyRecord(ctx, name)
}

// SaveUse implements registry.Storage.
func (s *Storage) SaveUse(ctx context.Context, rows []usage.Row) error {
	if err := s.available(ctx); err != nil {
		return err
	}
	return s.remote.SaveUse(ctx, rows)
}

// Use implements registry.Storage.
func (s *Storage) Use(ctx context.Context, yield func(usage.Row) error) error {
	if err := s.available(ctx); err != nil {
		return err
	}
	return s.remote.Use(ctx, yield)
}

// SaveQuotas implements registry.Storage.
func (s *Storage) SaveQuotas(ctx context.Context, rows []quota.Row, remove []string) error {
	if err := s.available(ctx); err != nil {
		return err
	}
	return s.remote.SaveQuotas(ctx, rows, remove)
}

// Quotas implements registry.Storage.
func (s *Storage) Quotas(ctx context.Context, yield func(quota.Row) error) error {
	if err := s.available(ctx); err != nil {
		return err
	}
	return s.remote.Quotas(ctx, yield)
}

// Backup implements registry.Storage.
func (s *Storage) Backup(ctx context.Context, w io.Writer) error {
	if err := s.available(ctx); err != nil {
		return err
	}
	return s.remote.Backup(ctx, w)
}
