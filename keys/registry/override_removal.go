package registry

import (
	"context"
	"maps"
	"slices"
	"strings"
)

// Overrides returns all stored overrides, sorted by ID. They must not be modified.
func (r *Registry) Overrides() []*Override {
	r.overrides.mu.RLock()
	defer r.overrides.mu.RUnlock()
	list := make([]*Override, 0, len(r.overrides.byID))
	for _, id := range slices.Sorted(maps.Keys(r.overrides.byID)) {
		list = append(list, r.overrides.byID[id])
	}
	return list
}

// RemoveOverride removes what is stored about a key of another feed, with one audit entry that has all of it. If a feed has the key, it
// is again as in the feed when RemoveOverride returns: also enabled, and without limits. ErrNotFound means that nothing is stored.
func (r *Registry) RemoveOverride(ctx context.Context, by Actor, id string) error {
	r.overrides.writeMu.Lock()
	defer r.overrides.writeMu.Unlock()
	return r.retryOverride(ctx, func() error {
		stored := r.Override(id)
		if stored == nil {
			return ErrNotFound
		}
		var details []string
		if stored.Disabled {
			details = append(details, "disabled")
		}
		details = append(details, policyChanges(nil, stored.Policy)...)
		if stored.Signing.hasSecrets() {
			details = append(details, "secrets for signing")
		}
		entry := r.newEntry(by, ActionChanged, nil, "removed the changes of a key of another feed: "+strings.Join(details, "; "))
		entry.Key = id
		return r.writeOverride(ctx, &Override{ID: id, Revision: stored.Revision}, entry)
	})
}
