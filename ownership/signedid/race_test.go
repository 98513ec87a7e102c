//go:build race

package signedid

// allowedAllocs is not zero here: under the race detector sync.Pool, from which the signer takes its hashes, randomly drops items.
const allowedAllocs = 4
