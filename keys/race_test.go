//go:build race

package keys

// allowedAllocs is not zero here: under the race detector sync.Pool, which ristretto uses, randomly drops items.
const allowedAllocs = 2
