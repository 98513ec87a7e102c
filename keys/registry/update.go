package registry

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/docsgate/docsgate/keys"
)

// UpdateRequest is a change of a key. Fields that are nil are not changed.
type UpdateRequest struct {
	Name               *string
	NotBefore, Expires *time.Time  // zero time: no limit
	State              *keys.State // Active or Disabled
}

// Update changes a key. A revoked key cannot be changed (ErrRevoked). If nothing changes, nothing is written. Expires may be in
// the past: then the key has expired.
func (r *Registry) Update(ctx context.Context, by Actor, id string, e UpdateRequest) (*Record, error) {
	return r.update(ctx, by, id, func(rec *Record) (Action, string, error) {
		if rec.State == keys.Revoked {
			return "", "", ErrRevoked
		}
		return rec.edit(e, r.currentTime())
	})
}

// edit applies a change, and returns the action and the detail of its audit entry, or no action if nothing changes.
func (r *Record) edit(e UpdateRequest, now time.Time) (Action, string, error) {
	c := validator{now: now}
	var details []string
	if e.Name != nil {
		if name := c.name(*e.Name); name != r.Name {
			details = append(details, fmt.Sprintf("name, was %q", r.Name))
			r.Name = name
		}
	}
	from, until := r.NotBefore, r.Expires
	if e.NotBefore != nil {
		from = *e.NotBefore
	}
	if e.Expires != nil {
		until = *e.Expires
	}
	if e.NotBefore != nil || e.Expires != nil {
		from, until = c.times(from, until)
	}
	if !from.Equal(r.NotBefore) {
		details = append(details, fmt.Sprintf("not before %s, was %s", formatTime(from), formatTime(r.NotBefore)))
		r.NotBefore = from
	}
	if !until.Equal(r.Expires) {
		details = append(details, fmt.Sprintf("expires %s, was %s", formatTime(until), formatTime(r.Expires)))
		r.Expires = until
	}
	action := ActionChanged
	if e.State != nil {
		switch state := *e.State; {
		case state != keys.Active && state != keys.Disabled:
			c.errorf("state", "must be active or disabled; use the revoke operation to revoke the key")
		case state != r.State && len(details) > 0:
			details = append(details, state.String())
		case state == keys.Active && r.State != state:
			action = ActionEnabled
		case r.State != state:
			action = ActionDisabled
		}
		if len(c.errs) == 0 && r.State != *e.State {
			r.State = *e.State
		}
	}
	if err := c.err(); err != nil {
		return "", "", err
	}
	if action == ActionChanged && len(details) == 0 {
		return "", "", nil
	}
	return action, strings.Join(details, "; "), nil
}

// Revoke permanently revokes a key. Revoking a revoked key changes nothing.
func (r *Registry) Revoke(ctx context.Context, by Actor, id string) (*Record, error) {
	return r.update(ctx, by, id, func(rec *Record) (Action, string, error) {
		if rec.State == keys.Revoked {
			return "", "", nil
		}
		rec.State = keys.Revoked
		return ActionRevoked, "", nil
	})
}
