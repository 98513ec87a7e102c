package registry_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys/registry"
	"github.com/docsgate/docsgate/keys/registry/memstorage"
)

func TestSearchAudit(t *testing.T) {
	storage := memstorage.New()
	start := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	const all = 25_000
	entries := make([]*registry.AuditEntry, all)
	for i := range entries {
		entries[i] = &registry.AuditEntry{
			At: start.Add(time.Duration(i) * time.Minute), Actor: []string{"Alice", "bob"}[i%2], Action: registry.ActionChanged, Key: fmt.Sprintf("key_%d", i%5),
		}
	}
	entries[10].Action = registry.ActionRevoked
	if err := storage.Write(t.Context(), nil, entries); err != nil {
		t.Fatal(err)
	}
	r, err := registry.New(registry.Options{Storage: storage})
	if err != nil {
		t.Fatal(err)
	}
	at := func(minutes int) time.Time { return start.Add(time.Duration(minutes) * time.Minute) }
	for name, c := range map[string]struct {
		q    registry.AuditQuery
		want string // minutes
		more bool
	}{
		"all":                     {registry.AuditQuery{Limit: 3}, "24999 24998 24997", true},
		"an actor":                {registry.AuditQuery{Actor: "ALI", Limit: 2}, "24998 24996", true},
		"an actor and a key":      {registry.AuditQuery{Actor: "bob", Key: "key_2", Limit: 2}, "24997 24987", true},
		"until":                   {registry.AuditQuery{Until: at(100), Limit: 2}, "99 98", true},
		"until, with a key":       {registry.AuditQuery{Until: at(100), Key: "key_1", Limit: 2}, "96 91", true},
		"since and until":         {registry.AuditQuery{Since: at(100), Until: at(102), Limit: 9}, "101 100", false},
		"until before all":        {registry.AuditQuery{Until: start, Limit: 9}, "", false},
		"until between two":       {registry.AuditQuery{Until: at(3).Add(time.Second), Limit: 2}, "3 2", true},
		"until and an older page": {registry.AuditQuery{Until: at(100), Before: entries[50].Seq, Limit: 1}, "49", true},
		"since only":              {registry.AuditQuery{Since: at(24_998), Limit: 9}, "24999 24998", false},
		"as many as the limit":    {registry.AuditQuery{Since: at(24_998), Limit: 2}, "24999 24998", false},
		"none of the newest":      {registry.AuditQuery{Action: registry.ActionRevoked, Limit: 9}, "", true},
	} {
		found, next, err := r.SearchAudit(t.Context(), c.q)
		if err != nil {
			t.Fatal(err)
		}
		var minutes []string
		for _, e := range found {
			minutes = append(minutes, fmt.Sprint(int(e.At.Sub(start).Minutes())))
		}
		if got := strings.Join(minutes, " "); got != c.want || (next != 0) != c.more {
			t.Errorf("%s: %s, next %d; want %s", name, got, next, c.want)
		}
	}
	q := registry.AuditQuery{Action: registry.ActionRevoked, Limit: 9}
	var found []registry.AuditEntry
	for range 2 {
		page, next, err := r.SearchAudit(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		found, q.Before = append(found, page...), next
	}
	if len(found) != 1 || found[0].Action != registry.ActionRevoked || q.Before != 0 {
		t.Errorf("found %v, next %d", found, q.Before)
	}
	// Each entry is on one page.
	q = registry.AuditQuery{Actor: "bob", Limit: 250, Since: at(22_000)}
	count := 0
	for {
		page, next, err := r.SearchAudit(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		if count += len(page); next == 0 {
			break
		}
		q.Before = next
	}
	if count != 1500 {
		t.Errorf("%d entries on all pages, want 1500", count)
	}
}
