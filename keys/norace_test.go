//go:build !race

package keys

// allowedAllocs is the maximum number of allocations of a cached decision.
const allowedAllocs = 0
