package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/keys/usage"
)

// Source is what Copy reads of a storage. Every Storage is one; for a copy of a moment all methods must read the same snapshot.
type Source interface {
	// All is the method of Storage.
	All(ctx context.Context, yield func(*Record) error) (revision uint64, err error)
	// Overrides is the method of Storage.
	Overrides(ctx context.Context, yield func(*Override) error) error
	// Audit is the method of Storage.
	Audit(ctx context.Context, key string, before uint64, limit int) ([]AuditEntry, error)
	// Use is the method of Storage.
	Use(ctx context.Context, yield func(usage.Row) error) error
	// Quotas is the method of Storage.
	Quotas(ctx context.Context, yield func(quota.Row) error) error
}

// copyRows is the number of rows that Copy writes at a time.
const copyRows = 1000

// ErrNotEmpty means that the target of Copy has keys or an audit trail.
var ErrNotEmpty = errors.New("the key store is not empty")

// Copy copies everything but idempotency records to an empty storage: records, overrides, the audit trail, usage and quotas. Records and
// overrides get new revisions. The audit trail is in memory while it is copied. After an error the target is incomplete.
func Copy(ctx context.Context, from Source, to Storage) error {
	if err := checkEmpty(ctx, to); err != nil {
		return err
	}
	// First, since an incomplete copy of them can be repeated.
	if err := copyCounters(ctx, from, to); err != nil {
		return err
	}
	entries, err := allEntries(ctx, from)
	if err != nil {
		return err
	}
	var overrides []*Override
	if err := from.Overrides(ctx, func(o *Override) error {
		o.Revision = 0
		overrides = append(overrides, o)
		return nil
	}); err != nil {
		return err
	}
	// Each write of an override has had an entry, so there are enough. The last ones are written with the overrides.
	if len(entries) < len(overrides) {
		return errors.New("the audit trail is incomplete: it has fewer entries than there are overrides")
	}
	split := len(entries) - len(overrides)
	if err := copyRecords(ctx, from, to); err != nil {
		return err
	}
	for chunk := range slices.Chunk(entries[:split], copyRows) {
		if err := to.Write(ctx, nil, chunk); err != nil {
			return err
		}
	}
	for i, o := range overrides {
		if err := to.WriteOverride(ctx, o, entries[split+i]); err != nil {
			return err
		}
	}
	return nil
}

// errStop ends an iteration.
var errStop = errors.New("stop")

func checkEmpty(ctx context.Context, s Storage) error {
	_, err := s.All(ctx, func(*Record) error { return errStop })
	if err == nil {
		err = s.Overrides(ctx, func(*Override) error { return errStop })
	}
	if err == nil {
		var found []AuditEntry
		if found, err = s.Audit(ctx, "", 0, 1); len(found) > 0 {
			err = errStop
		}
	}
	if errors.Is(err, errStop) {
		return fmt.Errorf("%s: %w", s.Name(), ErrNotEmpty)
	}
	return err
}

// allEntries returns the audit trail, oldest first.
func allEntries(ctx context.Context, from Source) ([]*AuditEntry, error) {
	var all []*AuditEntry
	for before := uint64(0); ; {
		page, err := from.Audit(ctx, "", before, copyRows)
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			slices.Reverse(all)
			return all, nil
		}
		before = page[len(page)-1].Seq
		for i := range page {
			all = append(all, &page[i])
		}
	}
}

func copyRecords(ctx context.Context, from Source, to Storage) error {
	var chunk []*Record
	write := func() error {
		err := to.Write(ctx, chunk, nil)
		chunk = nil
		return err
	}
	if _, err := from.All(ctx, func(r *Record) error {
		r.Revision = 0
		if chunk = append(chunk, r); len(chunk) < copyRows {
			return nil
		}
		return write()
	}); err != nil {
		return err
	}
	return write()
}

func copyCounters(ctx context.Context, from Source, to Storage) error {
	var rows []usage.Row
	if err := from.Use(ctx, func(r usage.Row) error { rows = append(rows, r); return nil }); err != nil {
		return err
	}
	var quotas []quota.Row
	if err := from.Quotas(ctx, func(r quota.Row) error { quotas = append(quotas, r); return nil }); err != nil {
		return err
	}
	if err := to.SaveUse(ctx, rows); err != nil {
		return err
	}
	return to.SaveQuotas(ctx, quotas, nil)
}
