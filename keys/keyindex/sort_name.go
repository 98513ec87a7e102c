package keyindex

import "strings"

// sortNames are the orders by the names that the API, the command line and the console use.
var sortNames = map[string]Sort{"created": ByCreated, "name": ByName, "expires": ByExpires, "used": ByLastUsed}

// SortNames returns the names that ParseSort accepts.
func SortNames() []string {
	return []string{"created", "-created", "name", "-name", "expires", "-expires", "used", "-used"}
}

// ParseSort parses the name of an order: created, name, expires or used, after a minus sign for the opposite order. The empty name is
// created.
func ParseSort(name string) (order Sort, reverse, ok bool) {
	if name == "" {
		return ByCreated, false, true
	}
	name, reverse = strings.CutPrefix(name, "-")
	order, ok = sortNames[name]
	return order, reverse, ok
}
