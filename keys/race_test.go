//go:build race

package keys

// allowedAllocs is not zero here: under the race detector sync.Pool, which ristretto uses, drops a part of what is put back.
const allowedAllocs = 2
