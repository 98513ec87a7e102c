package docsgptkeys

import (
	"errors"
	"slices"
	"testing"

	"github.com/docsgate/docsgate/keys"
)

// The first complete set must have all excluded keys. Later a key may disappear.
func TestCheckExclusions(t *testing.T) {
	agent := func(id, key string) Agent { return Agent{ID: id, Key: keys.NewSecret(key)} }
	all := []Agent{agent("A", "key-of-a"), agent("b", "key-of-b"), agent("keyless", "")}
	for _, c := range []struct {
		excluded, missing []string
	}{
		{nil, nil},
		{[]string{"agent_A", "B"}, nil},
		{[]string{"a", "Wrong", "keyless"}, []string{"keyless", "wrong"}},
	} {
		m := NewAgentCache(AgentCacheOptions{Filter: Filter{Excluded: c.excluded}})
		err := m.CheckExclusions(all)
		unknown, _ := errors.AsType[*UnknownExclusionsError](err)
		if (err == nil) != (c.missing == nil) || unknown != nil && !slices.Equal(unknown.IDs, c.missing) {
			t.Errorf("%v: %v, want %v", c.excluded, err, c.missing)
		}
		if later := m.CheckExclusions(all[1:]); c.missing == nil && later != nil || c.missing != nil && later == nil {
			t.Errorf("%v, later: %v", c.excluded, later)
		}
	}
}
