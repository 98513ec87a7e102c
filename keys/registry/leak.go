package registry

import (
	"context"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// gateActor is the author of entries that no user has caused.
var gateActor = Actor{Name: "gate", RemoteAddr: "gate"}

// MarkLeaked stores that the current token of a key was presented by a browser, with one audit entry. It does nothing if that is
// stored already, or if the token was replaced in the meantime. For a key of another feed it only writes the audit entry. origin is
// that of the page, or "".
func (r *Registry) MarkLeaked(ctx context.Context, k *keys.Key, origin string, at time.Time) error {
	detail := "a browser has presented the secret key"
	if origin != "" {
		detail += ", on a page of " + origin
	}
	if k.Feed != r.storage.Name() {
		entry := r.newEntry(gateActor, ActionLeaked, &Record{ID: k.ID, Name: k.Name}, detail)
		return r.write(ctx, nil, []*AuditEntry{entry})
	}
	_, err := r.update(ctx, gateActor, k.ID, func(rec *Record) (Action, string, error) {
		if rec.Digest != k.Digest || !rec.Leaked.IsZero() {
			return "", "", nil
		}
		rec.Leaked, rec.LeakedOrigin = at, origin
		return ActionLeaked, detail, nil
	})
	return err
}
