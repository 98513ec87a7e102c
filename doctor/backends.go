package doctor

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// checkBackends checks that each named backend has a gate.
func (x *runner) checkBackends(context.Context) {
	for _, name := range slices.Sorted(maps.Keys(x.input.Backends)) {
		if slices.ContainsFunc(x.input.Gates, func(g Gate) bool { return g.Backend == name }) {
			x.ok("config.backends", fmt.Sprintf("A site uses the backend %s.", name))
			continue
		}
		x.warn("config.backends", fmt.Sprintf("No site uses the backend %s, so its keys are valid nowhere.", name),
			fmt.Sprintf("Add \"backend %s\" to the docsgate directive of its site, or remove the backend.", name))
	}
}
