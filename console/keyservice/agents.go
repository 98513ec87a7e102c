package keyservice

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/keyindex"
	"github.com/docsgate/docsgate/keys/registry"
)

// ErrAgentNotListed means that a new, changed or imported key has a placeholder as its agent that is not in Service.Agents. Errors that
// match it also wrap a *registry.FieldError for the field "agent", inside a *registry.ImportError for an import.
var ErrAgentNotListed = errors.New("the agent is not listed in the configuration")

// notListed is the same for every placeholder, so that it does not reveal which variables and files exist.
const notListed = "this reference is not listed in the configuration: add it to the agents of docsgate_console. " +
	"The id of a key of another feed can be used without being listed"

// notListedError is an ErrAgentNotListed with its field errors.
type notListedError struct{ fields error }

// Error implements error.
func (e *notListedError) Error() string { return e.fields.Error() }

// Unwrap returns the field errors.
func (e *notListedError) Unwrap() error { return e.fields }

// Is reports whether the target is ErrAgentNotListed.
func (*notListedError) Is(target error) bool { return target == ErrAgentNotListed }

// isAllowedAgent reports whether a new key may have this agent reference: a listed placeholder, or a text that is not a
// placeholder and can therefore only be a key ID.
func (d *Service) isAllowedAgent(agent string) bool {
	agent = strings.TrimSpace(agent)
	return d.AnyAgent || !strings.HasPrefix(agent, "{") || slices.Contains(d.Agents, agent)
}

// Create is Registry.Create with the allow-list of agents: a placeholder that is not listed is an ErrAgentNotListed, checked
// before anything else, and is recorded in the audit trail.
func (d *Service) Create(ctx context.Context, by registry.Actor, draft registry.CreateRequest) (*registry.CreateResult, error) {
	if err := d.checkAgent(ctx, by, draft.Agent); err != nil {
		return nil, err
	}
	return d.Registry.Create(ctx, by, draft)
}

// Update is Registry.Update with the allow-list of agents, as in Create.
func (d *Service) Update(ctx context.Context, by registry.Actor, id string, change registry.UpdateRequest) (*registry.Record, error) {
	if err := d.checkAgent(ctx, by, change.Agent); err != nil {
		return nil, err
	}
	return d.Registry.Update(ctx, by, id, change)
}

// checkAgent returns an ErrAgentNotListed for an agent that a key must not have, and records it in the audit trail.
func (d *Service) checkAgent(ctx context.Context, by registry.Actor, agent string) error {
	if d.isAllowedAgent(agent) {
		return nil
	}
	if err := d.Registry.Rejected(ctx, by, "a key for an agent that is not listed", agent); err != nil {
		return err
	}
	return &notListedError{&registry.FieldError{Field: "agent", Message: notListed}}
}

// Import is Registry.Import with the allow-list of agents, as in Create, for dry runs too. Every dry run is recorded in the audit
// trail, whatever its result.
func (d *Service) Import(ctx context.Context, by registry.Actor, items []registry.Import, dry bool) ([]registry.ImportResult, error) {
	var faults []error
	var agents []string
	for i := range items {
		if !d.isAllowedAgent(items[i].Agent) {
			faults = append(faults, &registry.ImportError{
				Index: i, Err: &registry.FieldError{Field: "agent", Message: notListed},
			})
			agents = append(agents, items[i].Agent)
		}
	}
	if faults != nil {
		what := "an import with agents that are not listed"
		if dry {
			what = "a dry run of " + what
		}
		if err := d.Registry.Rejected(ctx, by, what, agents...); err != nil {
			return nil, err
		}
		return nil, &notListedError{errors.Join(faults...)}
	}
	if dry {
		if err := d.Registry.Checked(ctx, by, len(items)); err != nil {
			return nil, err
		}
	}
	return d.Registry.Import(ctx, by, items, dry)
}

// Agent is an agent that a key can be bound to.
type Agent struct {
	Reference string // a placeholder, or the id of a key of another feed
	Name      string // of that key; empty for a placeholder
}

const (
	maxOffered = 200  // maximum number of keys of other feeds
	maxScanned = 5000 // of the newest keys of all feeds
)

// Offers returns the agents to choose from: the listed references, and agent-bound keys of other feeds. more reports whether
// there may be further such keys.
func (d *Service) Offers() (listed, others []Agent, more bool) {
	for _, reference := range d.Agents {
		listed = append(listed, Agent{Reference: reference})
	}
	q := keyindex.Query{Now: d.now(), Limit: 1000}
	for seen := 0; ; {
		page, err := d.Index.Page(q)
		if err != nil {
			return listed, others, true
		}
		for _, k := range page.Keys {
			if k.Feed == d.Feed || k.Binding.Kind() != keys.AgentBinding {
				continue
			}
			if len(others) == maxOffered {
				return listed, others, true
			}
			others = append(others, Agent{Reference: k.ID, Name: k.Name})
		}
		if seen += len(page.Keys); page.Next == "" || seen >= maxScanned {
			return listed, others, page.Next != ""
		}
		q.After = page.Next
	}
}
