package migration

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"

	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/keys/recordcodec"
	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/usage"
)

// Counts are the numbers of rows of a storage.
type Counts struct{ Keys, Overrides, Entries, Usage, Quotas int }

// String returns the counts for users.
func (c Counts) String() string {
	return fmt.Sprintf("%d keys, changes of %d keys of other feeds, %d entries of the audit trail, the usage of %d keys and the quotas of %d keys",
		c.Keys, c.Overrides, c.Entries, c.Usage, c.Quotas)
}

// DifferenceError means that two storages have different contents.
type DifferenceError struct {
	Rows int    // that differ, or that only one of the storages has
	What string // the kinds of these rows, for users
}

func (e *DifferenceError) Error() string {
	return fmt.Sprintf("%d rows of the copy differ from the source (%s)", e.Rows, e.What)
}

// rows are the fingerprints of all rows of a kind, by ID.
type rows map[string][sha256.Size]byte

// content is everything that a storage contains, as fingerprints. Revisions are not part of it, since each storage has its own.
type content struct{ keys, overrides, entries, usage, quotas rows }

func (c *content) counts() Counts {
	return Counts{Keys: len(c.keys), Overrides: len(c.overrides), Entries: len(c.entries), Usage: len(c.usage), Quotas: len(c.quotas)}
}

// Compare returns a DifferenceError unless the copy has exactly the rows of the source, and their numbers.
func Compare(ctx context.Context, from, copied registry.Source) (Counts, error) {
	a, err := read(ctx, from)
	if err != nil {
		return Counts{}, err
	}
	b, err := read(ctx, copied)
	if err != nil {
		return Counts{}, err
	}
	var (
		differing int
		kinds     []string
	)
	for _, kind := range []struct {
		name string
		a, b rows
	}{
		{"keys", a.keys, b.keys},
		{"changes of keys of other feeds", a.overrides, b.overrides},
		{"audit trail", a.entries, b.entries},
		{"usage", a.usage, b.usage},
		{"quotas", a.quotas, b.quotas},
	} {
		if n := len(differ(kind.a, kind.b)); n > 0 {
			differing += n
			kinds = append(kinds, kind.name)
		}
	}
	if differing > 0 {
		return Counts{}, &DifferenceError{differing, strings.Join(kinds, ", ")}
	}
	return a.counts(), nil
}

// differ returns the IDs of the rows that differ, or that only one of the two has.
func differ(a, b rows) map[string]bool {
	found := map[string]bool{}
	for id, sum := range a {
		if other, ok := b[id]; !ok || other != sum {
			found[id] = true
		}
	}
	for id := range b {
		if _, ok := a[id]; !ok {
			found[id] = true
		}
	}
	return found
}

func read(ctx context.Context, s registry.Source) (*content, error) {
	c, err := readKeys(ctx, s)
	if err != nil {
		return nil, err
	}
	entries, err := trail(ctx, s)
	if err != nil {
		return nil, err
	}
	c.entries, c.usage, c.quotas = rows{}, rows{}, rows{}
	for i := range entries {
		c.entries[fmt.Sprint(entries[i].Seq)] = sha256.Sum256(recordcodec.AppendEntry(nil, &entries[i]))
	}
	if err := s.Use(ctx, func(r usage.Row) error {
		c.usage[r.ID] = sha256.Sum256(recordcodec.AppendUse(nil, &r))
		return nil
	}); err != nil {
		return nil, err
	}
	err = s.Quotas(ctx, func(r quota.Row) error {
		c.quotas[r.ID] = sha256.Sum256(recordcodec.AppendQuota(nil, &r))
		return nil
	})
	return c, err
}

// readKeys reads records and overrides only.
func readKeys(ctx context.Context, s registry.Source) (*content, error) {
	c := &content{keys: rows{}, overrides: rows{}}
	if _, err := s.All(ctx, func(r *registry.Record) error {
		r.Revision = 0
		c.keys[r.ID] = sha256.Sum256(recordcodec.AppendRecord(nil, r))
		return nil
	}); err != nil {
		return nil, err
	}
	err := s.Overrides(ctx, func(o *registry.Override) error {
		o.Revision = 0
		c.overrides[o.ID] = sha256.Sum256(recordcodec.AppendOverride(nil, o))
		return nil
	})
	return c, err
}

// pageSize is the number of entries that are read at a time.
const pageSize = 1000

// trail returns the audit trail, newest first.
func trail(ctx context.Context, s registry.Source) (all []registry.AuditEntry, err error) {
	for before := uint64(0); ; {
		page, err := s.Audit(ctx, "", before, pageSize)
		if err != nil || len(page) == 0 {
			return all, err
		}
		all, before = append(all, page...), page[len(page)-1].Seq
	}
}
