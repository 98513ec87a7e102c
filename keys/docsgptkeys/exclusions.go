package docsgptkeys

import (
	"maps"
	"slices"
	"strings"
)

// UnknownExclusionsError means that Filter.Excluded names records that have no key: because of a typo a key would stay valid.
type UnknownExclusionsError struct {
	IDs []string // sorted, normalized
}

// Error implements error.
func (e *UnknownExclusionsError) Error() string {
	return "exclude_keys contains " + strings.Join(e.IDs, ", ") + ", but no agent with such an id has a key: correct or remove it"
}

// CheckExclusions returns an *UnknownExclusionsError if the first complete set of agents lacks a record in Filter.Excluded. Once a set
// has passed it returns nil, since a record that is deleted later has no key any more; then there is only a warning.
func (m *AgentCache) CheckExclusions(agents []Agent) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.exclusionsChecked {
		return nil
	}
	missing := maps.Clone(m.sel.excluded)
	for i := range agents {
		if !agents[i].Key.IsZero() {
			delete(missing, strings.ToLower(agents[i].ID))
		}
	}
	if len(missing) > 0 {
		return &UnknownExclusionsError{slices.Sorted(maps.Keys(missing))}
	}
	m.exclusionsChecked = true
	return nil
}
