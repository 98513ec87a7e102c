//go:build !race

package signedid

// allowedAllocs is the maximum number of allocations of signing and of checking an ID.
const allowedAllocs = 0
