package registry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/policy"
)

// UpdateRequest is a change of a key. Fields that are nil are not changed.
type UpdateRequest struct {
	Name               *string
	NotBefore, Expires *time.Time  // zero time: no limit
	State              *keys.State // Active or Disabled
	Policy             PolicyChange
	Signing            SigningChange

	// A new binding, as in CreateRequest. If all are empty, the binding is not changed.
	Sources         []string
	Agent, AgentKey string
}

// Update changes a key. A revoked key cannot be changed (ErrRevoked). If nothing changes, nothing is written. Expires may be in
// the past: then the key has expired. A new kind does not change the token: its prefix is that of the kind when it was created.
func (r *Registry) Update(ctx context.Context, by Actor, id string, e UpdateRequest) (*Record, error) {
	return r.update(ctx, by, id, func(rec *Record) (Action, string, error) {
		if rec.State == keys.Revoked {
			return "", "", ErrRevoked
		}
		return r.edit(ctx, rec, &e)
	})
}

// edit applies a change, and returns the action and the detail of its audit entry, or no action if nothing changes.
func (r *Registry) edit(ctx context.Context, rec *Record, e *UpdateRequest) (Action, string, error) {
	rules, _ := r.currentRules()
	c := validator{rules: rules, now: r.currentTime()}
	details := rec.editNameAndTimes(&c, e)
	if p := e.Policy.Apply(rec.Policy); !p.Equal(rec.Policy) {
		details = append(details, policyChanges(rec.Policy, p)...)
		rec.Policy = c.policy(p)
	}
	rec.Signing = e.editSigning(&c, rec.Policy, rec.Signing, &details)
	binding, err := r.editBinding(ctx, &c, rec, e)
	if err != nil {
		return "", "", err
	}
	if binding != "" {
		details = append(details, binding)
	}
	action := ActionChanged
	if e.State != nil {
		switch state := *e.State; {
		case state != keys.Active && state != keys.Disabled:
			c.errorf("state", "must be active or disabled; use the revoke operation to revoke the key")
		case state != rec.State && len(details) > 0:
			details = append(details, state.String())
		case state == keys.Active && rec.State != state:
			action = ActionEnabled
		case rec.State != state:
			action = ActionDisabled
		}
		if len(c.errs) == 0 && rec.State != *e.State {
			rec.State = *e.State
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

// editSigning returns the changed Signing, and adds details for the audit trail. p is the policy after the change.
func (e *UpdateRequest) editSigning(c *validator, p *policy.Policy, old *Signing, details *[]string) *Signing {
	if e.Signing == (SigningChange{}) && e.Policy.Visitors == nil {
		return old
	}
	next, changes := e.Signing.apply(c, old)
	*details = append(*details, changes...)
	c.checkVisitors(p, next)
	return next
}

// editNameAndTimes changes the name and the validity period, and returns details for the audit trail.
func (r *Record) editNameAndTimes(c *validator, e *UpdateRequest) (details []string) {
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
	return details
}

// editBinding changes the binding if the request has one, and returns the detail for the audit trail, or "" if nothing changes.
// A DocsGPT key is only encrypted if the request has been valid so far. The error is not about a field.
func (r *Registry) editBinding(ctx context.Context, c *validator, rec *Record, e *UpdateRequest) (detail string, err error) {
	if len(e.Sources) == 0 && e.Agent == "" && e.AgentKey == "" {
		return "", nil
	}
	next := Record{ID: rec.ID}
	agentKey := r.bind(c, &next, e.Sources, e.Agent, e.AgentKey)
	if len(c.errs) > 0 {
		return "", nil
	}
	if err := r.encryptAgentKey(ctx, &next, agentKey); err != nil {
		return "", err
	}
	if slices.Equal(next.Sources, rec.Sources) && next.Agent.equal(&rec.Agent) {
		return "", nil
	}
	detail = next.describeBinding() + ", was " + rec.describeBinding()
	rec.Sources, rec.Agent = next.Sources, next.Agent
	return detail, nil
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
