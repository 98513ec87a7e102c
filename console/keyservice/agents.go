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

// ErrAgentNotListed says that a draft or an import names a placeholder as an agent that is not one of Desk.Agents. An error that
// is this one also joins *registry.FieldErrors of the field agent, in *registry.ImportErrors with an import.
var ErrAgentNotListed = errors.New("the agent is not listed in the configuration")

// notListed has the same words for every placeholder, whatever it stands for: whoever asks must not learn what exists.
const notListed = "this reference is not listed in the configuration: add it to the agents of docsgate_console. " +
	"The id of a key of another feed can be used without being listed"

// notListedError is ErrAgentNotListed with the fields.
type notListedError struct{ fields error }

// Error implements error.
func (e *notListedError) Error() string { return e.fields.Error() }

// Unwrap returns what is wrong with the fields.
func (e *notListedError) Unwrap() error { return e.fields }

// Is reports whether the target is ErrAgentNotListed.
func (*notListedError) Is(target error) bool { return target == ErrAgentNotListed }

// isAllowedAgent reports whether a key that is made here may name a text as its agent: a listed placeholder, or anything that is not
// one, which can only be the id of a key.
func (d *Service) isAllowedAgent(agent string) bool {
	agent = strings.TrimSpace(agent)
	return d.AnyAgent || !strings.HasPrefix(agent, "{") || slices.Contains(d.Agents, agent)
}

// Create is Registry.Create for users of this desk: a placeholder that is not listed is ErrAgentNotListed, before anything else
// is looked at, and leaves an audit entry.
func (d *Service) Create(ctx context.Context, by registry.Actor, draft registry.CreateRequest) (*registry.CreateResult, error) {
	if !d.isAllowedAgent(draft.Agent) {
		if err := d.Registry.Rejected(ctx, by, "a key for an agent that is not listed", draft.Agent); err != nil {
			return nil, err
		}
		return nil, &notListedError{&registry.FieldError{Field: "agent", Message: notListed}}
	}
	return d.Registry.Create(ctx, by, draft)
}

// Import is Registry.Import for users of this desk, as Create is Registry.Create, also for a dry run. A dry run leaves an audit
// entry, whatever comes of it.
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

// Agent is what a key may be bound to.
type Agent struct {
	Reference string // a placeholder, or the id of a key of another feed
	Name      string // of that key; empty for a placeholder
}

const (
	maxOffered = 200  // keys of other feeds at most
	maxScanned = 5000 // among so many keys of all feeds, the newest
)

// Offers returns agents to choose from: those that are listed, and keys of other feeds that have an agent. more reports whether
// there may be further ones of those.
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
