package migration

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

// ErrNotACopy means that a target is neither empty nor an earlier copy of the source.
var ErrNotACopy = errors.New("the target contains other keys than the source")

// Changes are what CatchUp has found.
type Changes struct {
	Copied  []string // IDs of the keys that were changed in the source only, and were copied
	Revoked []string // IDs of the keys that were changed in both, and are now revoked in the target, as in the source
	Differ  []string // IDs of the keys that were changed in both, and were not copied
}

// CatchUp copies to an earlier copy what has changed in the source since then: keys, overrides and the audit trail. A key that was
// changed in both is left as it is in the target, unless the source has revoked it. Usage and quotas are not copied. It can be
// repeated after an error.
func CatchUp(ctx context.Context, from registry.Source, to registry.Storage) (Changes, error) {
	missing, added, err := compareTrails(ctx, from, to)
	if err != nil {
		return Changes{}, err
	}
	c := &catchUp{to: to, entries: missing, overrides: map[string]*registry.Override{}, stored: map[string]*registry.Override{}}
	if err := c.readSource(ctx, from); err != nil {
		return Changes{}, err
	}
	for _, id := range slices.Sorted(maps.Keys(missing)) {
		switch {
		case id == "":
			err = c.write(ctx, nil, missing[id])
		case added[id]:
			err = c.merge(ctx, id)
		default:
			err = c.copy(ctx, id)
		}
		if err != nil {
			return c.changes, err
		}
	}
	return c.changes, c.verify(ctx, from)
}

// compareTrails returns the entries that the target does not have, oldest first by key, and the keys of entries that only the target has.
func compareTrails(ctx context.Context, from registry.Source, to registry.Storage) (missing map[string][]*registry.AuditEntry, added map[string]bool, err error) {
	source, err := trail(ctx, from)
	if err != nil {
		return nil, nil, err
	}
	target, err := trail(ctx, to)
	if err != nil {
		return nil, nil, err
	}
	if len(source) == 0 || len(target) == 0 || source[len(source)-1] != target[len(target)-1] {
		return nil, nil, ErrNotACopy
	}
	missing, added = map[string][]*registry.AuditEntry{}, map[string]bool{}
	for _, e := range slices.Backward(subtract(source, target)) {
		missing[e.Key] = append(missing[e.Key], &e)
	}
	for _, e := range subtract(target, source) {
		added[e.Key] = true
	}
	return missing, added, nil
}

// subtract returns the entries of a without those of b, which may have other sequences there.
func subtract(a, b []registry.AuditEntry) (rest []registry.AuditEntry) {
	known := map[registry.AuditEntry]int{}
	for _, e := range b {
		e.Seq = 0
		known[e]++
	}
	for _, e := range a {
		e.Seq = 0
		if known[e] > 0 {
			known[e]--
			continue
		}
		rest = append(rest, e)
	}
	return rest
}

// catchUp is one call of CatchUp.
type catchUp struct {
	to        registry.Storage
	entries   map[string][]*registry.AuditEntry // of the source only, by key, oldest first
	records   map[string]*registry.Record       // of the source, that have entries
	overrides map[string]*registry.Override     // of the source
	stored    map[string]*registry.Override     // of the target
	changes   Changes
}

func (c *catchUp) readSource(ctx context.Context, from registry.Source) error {
	c.records = map[string]*registry.Record{}
	if _, err := from.All(ctx, func(r *registry.Record) error {
		if c.entries[r.ID] != nil {
			c.records[r.ID] = r
		}
		return nil
	}); err != nil {
		return err
	}
	collect := func(all map[string]*registry.Override) func(*registry.Override) error {
		return func(o *registry.Override) error { all[o.ID] = o; return nil }
	}
	if err := from.Overrides(ctx, collect(c.overrides)); err != nil {
		return err
	}
	return c.to.Overrides(ctx, collect(c.stored))
}

// copy makes a key in the target what it is in the source.
func (c *catchUp) copy(ctx context.Context, id string) error {
	if r := c.records[id]; r != nil {
		stored, err := c.to.Get(ctx, id)
		if err != nil && !errors.Is(err, registry.ErrNotFound) {
			return err
		}
		r.Revision = 0
		if stored != nil {
			r.Revision = stored.Revision
		}
		c.changes.Copied = append(c.changes.Copied, id)
		return c.write(ctx, []*registry.Record{r}, c.entries[id])
	}
	o, stored := c.overrides[id], c.stored[id]
	if o == nil && stored == nil {
		return c.write(ctx, nil, c.entries[id]) // such as a rejected change, or a change that was removed again
	}
	if o == nil {
		o = &registry.Override{ID: id} // was removed
	}
	o.Revision = 0
	if stored != nil {
		o.Revision = stored.Revision
	}
	c.changes.Copied = append(c.changes.Copied, id)
	// The override first: if this is interrupted afterwards, it is written again.
	if err := c.to.WriteOverride(ctx, o, c.entries[id][0]); err != nil {
		return fmt.Errorf("key %s: %w", id, err)
	}
	return c.write(ctx, nil, c.entries[id][1:])
}

// merge copies of a key that was changed in both only that it is revoked.
func (c *catchUp) merge(ctx context.Context, id string) error {
	r := c.records[id]
	if r == nil || r.State != keys.Revoked {
		c.changes.Differ = append(c.changes.Differ, id) // also the next time, since its entries are not copied
		return nil
	}
	stored, err := c.to.Get(ctx, id)
	if err != nil {
		return err
	}
	var revoked []*registry.Record
	if stored.State != keys.Revoked {
		stored.State, stored.Changed = keys.Revoked, r.Changed
		revoked = append(revoked, stored)
	}
	c.changes.Revoked = append(c.changes.Revoked, id)
	return c.write(ctx, revoked, c.entries[id])
}

func (c *catchUp) write(ctx context.Context, records []*registry.Record, entries []*registry.AuditEntry) error {
	return c.to.Write(ctx, records, entries)
}

// verify compares the keys that were not changed in the target only.
func (c *catchUp) verify(ctx context.Context, from registry.Source) error {
	missing, added, err := compareTrails(ctx, from, c.to)
	if err != nil {
		return err
	}
	a, err := readKeys(ctx, from)
	if err != nil {
		return err
	}
	b, err := readKeys(ctx, c.to)
	if err != nil {
		return err
	}
	found := differ(a.keys, b.keys)
	maps.Copy(found, differ(a.overrides, b.overrides))
	for _, id := range c.changes.Differ {
		delete(missing, id)
	}
	maps.DeleteFunc(found, func(id string, _ bool) bool { return added[id] })
	if n := len(found) + len(missing); n > 0 {
		return &DifferenceError{n, "keys, changes of keys of other feeds, audit trail"}
	}
	return nil
}
