// Package memstorage is a registry.Storage in memory, for tests.
package memstorage

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
)

// Storage implements registry.Storage. Nothing is durable. Create one with New.
type Storage struct {
	mu                 sync.Mutex // guards the following
	records            map[string]registry.Record
	digests            map[keys.Digest]string // to the ID
	entries            []registry.AuditEntry
	idempotencyRecords map[string]string
	usage              map[string]usage.Row
	quotas             map[string]quota.Row
	overrides          map[string]registry.Override
	revision           uint64
	watchers           map[int]func()
	nextID             int
	writeErr           error
}

var _ registry.Storage = (*Storage)(nil)

// New returns an empty storage.
func New() *Storage {
	return &Storage{
		records: map[string]registry.Record{}, digests: map[keys.Digest]string{}, idempotencyRecords: map[string]string{},
		usage: map[string]usage.Row{}, quotas: map[string]quota.Row{}, overrides: map[string]registry.Override{}, watchers: map[int]func(){},
	}
}

// Fail makes every write fail with err. nil ends that.
func (s *Storage) Fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writeErr = err
}

// NotifyWatchers notifies all watches, like a write of another process.
func (s *Storage) NotifyWatchers() {
	s.mu.Lock()
	all := slices.Collect(maps.Values(s.watchers))
	s.mu.Unlock()
	for _, changed := range all {
		changed()
	}
}

// Name implements registry.Storage.
func (s *Storage) Name() string { return "store:memory" }

// Count implements registry.SizedStorage.
func (s *Storage) Count(context.Context) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.records), nil
}

// All implements registry.Storage.
func (s *Storage) All(ctx context.Context, yield func(*registry.Record) error) (uint64, error) {
	return s.each(ctx, 0, yield)
}

// Changes implements registry.Storage.
func (s *Storage) Changes(ctx context.Context, after uint64, yield func(*registry.Record) error) (uint64, error) {
	return s.each(ctx, after, yield)
}

func (s *Storage) each(ctx context.Context, after uint64, yield func(*registry.Record) error) (uint64, error) {
	s.mu.Lock()
	revision := s.revision
	var all []*registry.Record
	for _, id := range slices.Sorted(maps.Keys(s.records)) {
		if rec := s.records[id]; rec.Revision > after {
			all = append(all, clone(&rec))
		}
	}
	s.mu.Unlock()
	for _, rec := range all {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := yield(rec); err != nil {
			return 0, err
		}
	}
	return revision, nil
}

func clone(r *registry.Record) *registry.Record {
	c := *r
	c.Sources, c.PreviousTokens, c.Agent.Encrypted = slices.Clone(r.Sources), slices.Clone(r.PreviousTokens), slices.Clone(r.Agent.Encrypted)
	return &c
}

// Get implements registry.Storage.
func (s *Storage) Get(ctx context.Context, id string) (*registry.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec, ok := s.records[id]
	if !ok {
		return nil, registry.ErrNotFound
	}
	return clone(&rec), ctx.Err()
}

// ByDigest implements registry.Storage.
func (s *Storage) ByDigest(ctx context.Context, d keys.Digest) (*registry.Record, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	id, ok := s.digests[d]
	if !ok {
		return nil, registry.ErrNotFound
	}
	rec := s.records[id]
	return clone(&rec), ctx.Err()
}

// Write implements registry.Storage.
func (s *Storage) Write(ctx context.Context, records []*registry.Record, entries []*registry.AuditEntry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writeErr != nil {
		return s.writeErr
	}
	if err := s.check(records); err != nil {
		return err
	}
	if len(records) > 0 {
		s.revision++
	}
	for _, rec := range records {
		old := s.records[rec.ID]
		for d := range old.Digests() {
			delete(s.digests, d)
		}
	}
	for _, rec := range records {
		if rec.IsDeleted() && rec.Revision != 0 {
			delete(s.usage, rec.ID)
			delete(s.quotas, rec.ID)
		}
		rec.Revision = s.revision
		for d := range rec.Digests() {
			s.digests[d] = rec.ID
		}
		s.records[rec.ID] = *clone(rec)
	}
	for _, e := range entries {
		e.Seq = uint64(len(s.entries)) + 1
		s.entries = append(s.entries, *e)
	}
	return nil
}

func (s *Storage) check(records []*registry.Record) error {
	ids, taken := map[string]bool{}, map[keys.Digest]string{}
	for _, rec := range records {
		old, exists := s.records[rec.ID]
		switch {
		case rec.Revision == 0 && exists, ids[rec.ID]:
			return registry.ErrExists
		case rec.Revision != 0 && (!exists || old.Revision != rec.Revision):
			return registry.ErrConflict
		}
		ids[rec.ID] = true
		for d := range rec.Digests() {
			owner, stored := s.digests[d]
			other, written := taken[d]
			if stored && owner != rec.ID || written && other != rec.ID {
				return registry.ErrExists
			}
			taken[d] = rec.ID
		}
	}
	return nil
}

// WriteOverride implements registry.Storage.
func (s *Storage) WriteOverride(ctx context.Context, o *registry.Override, entry *registry.AuditEntry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.writeErr != nil:
		return s.writeErr
	case s.overrides[o.ID].Revision != o.Revision:
		return registry.ErrConflict
	}
	s.revision++
	o.Revision, entry.Seq = s.revision, uint64(len(s.entries))+1
	if o.IsZero() {
		o.Revision = 0
		delete(s.overrides, o.ID)
	} else {
		s.overrides[o.ID] = *o
	}
	s.entries = append(s.entries, *entry)
	return nil
}

// Overrides implements registry.Storage.
func (s *Storage) Overrides(ctx context.Context, yield func(*registry.Override) error) error {
	s.mu.Lock()
	all := maps.Clone(s.overrides)
	s.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(all)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		o := all[id]
		if err := yield(&o); err != nil {
			return err
		}
	}
	return nil
}

// Audit implements registry.Storage.
func (s *Storage) Audit(ctx context.Context, key string, before uint64, limit int) ([]registry.AuditEntry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []registry.AuditEntry
	for _, e := range slices.Backward(s.entries) {
		if (key == "" || e.Key == key) && (before == 0 || e.Seq < before) && len(found) < limit {
			found = append(found, e)
		}
	}
	return found, ctx.Err()
}

// PutIdempotencyRecord implements registry.Storage.
func (s *Storage) PutIdempotencyRecord(_ context.Context, name, text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idempotencyRecords[name] = text
	return s.writeErr
}

// GetIdempotencyRecord implements registry.Storage.
func (s *Storage) GetIdempotencyRecord(_ context.Context, name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.idempotencyRecords[name], nil
}

// SaveUse implements registry.Storage.
func (s *Storage) SaveUse(_ context.Context, rows []usage.Row) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writeErr != nil {
		return s.writeErr
	}
	for _, row := range rows {
		s.usage[row.ID] = row
	}
	return nil
}

// Use implements registry.Storage.
func (s *Storage) Use(_ context.Context, yield func(usage.Row) error) error {
	s.mu.Lock()
	rows := slices.Collect(maps.Values(s.usage))
	s.mu.Unlock()
	for _, row := range rows {
		if err := yield(row); err != nil {
			return err
		}
	}
	return nil
}

// SaveQuotas implements registry.Storage.
func (s *Storage) SaveQuotas(_ context.Context, rows []quota.Row, remove []string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writeErr != nil {
		return s.writeErr
	}
	for _, row := range rows {
		s.quotas[row.ID] = row
	}
	for _, id := range remove {
		delete(s.quotas, id)
	}
	return nil
}

// Quotas implements registry.Storage.
func (s *Storage) Quotas(_ context.Context, yield func(quota.Row) error) error {
	s.mu.Lock()
	rows := slices.Collect(maps.Values(s.quotas))
	s.mu.Unlock()
	for _, row := range rows {
		if err := yield(row); err != nil {
			return err
		}
	}
	return nil
}

// Watch implements registry.Storage.
func (s *Storage) Watch(ctx context.Context, changed func()) error {
	s.mu.Lock()
	n := s.nextID
	s.nextID++
	s.watchers[n] = changed
	s.mu.Unlock()
	<-ctx.Done()
	s.mu.Lock()
	delete(s.watchers, n)
	s.mu.Unlock()
	return nil
}

// Backup implements registry.Storage. The copy is JSON with all stored data, for tests that search it.
func (s *Storage) Backup(_ context.Context, w io.Writer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return json.NewEncoder(w).Encode(map[string]any{
		"records": s.records, "entries": s.entries, "notes": s.idempotencyRecords, "use": s.usage,
	})
}

// Close implements registry.Storage.
func (s *Storage) Close() error { return nil }
