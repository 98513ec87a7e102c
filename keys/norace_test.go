//go:build !race

package keys

// allowedAllocs is how many allocations a decision from the cache may cost.
const allowedAllocs = 0
