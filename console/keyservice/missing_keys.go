package keyservice

import (
	"context"
	"errors"
	"slices"

	"github.com/docsgate/docsgate/keys/registry"
)

// Errors of the changes of missing keys.
var (
	// ErrFeedUnavailable means that not every feed is loaded, so that a key may be missing only temporarily.
	ErrFeedUnavailable = errors.New("not every feed is loaded")
	// ErrKeyExists means that a feed has the key.
	ErrKeyExists = errors.New("a feed has the key")
)

// MissingKeys returns the changes that are stored for keys that no feed has, sorted by the ID of the key. They must not be modified.
// ErrFeedUnavailable means that this is not known.
func (d *Service) MissingKeys() ([]*registry.Override, error) {
	if !d.Store.Complete() {
		return nil, ErrFeedUnavailable
	}
	return slices.DeleteFunc(d.Registry.Overrides(), func(o *registry.Override) bool { return d.Store.Get(o.ID) != nil }), nil
}

// ForgetMissingKey removes the changes that are stored for a key that no feed has. If a feed has the key later, it is as in the feed.
// The error is ErrFeedUnavailable, ErrKeyExists, or registry.ErrNotFound if nothing is stored.
func (d *Service) ForgetMissingKey(ctx context.Context, by registry.Actor, id string) error {
	switch {
	case !d.Store.Complete():
		// The key may return with the feed. It must not be enabled again, or lose its limits, by a removal of leftovers.
		return ErrFeedUnavailable
	case d.Store.Get(id) != nil:
		return ErrKeyExists
	}
	return d.Registry.RemoveOverride(ctx, by, id)
}
