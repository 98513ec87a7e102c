// Package activity records, in bounded memory, what clients do with keys and an operator must know: rejected requests, the web origins
// that a key is used on, secret keys that have leaked, and tokens that keys have had before.
package activity

import (
	"fmt"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Log has all records of a gate. It is safe for concurrent use. Create one with New.
type Log struct {
	Rejections *Rejections
	Leaks      *Leaks
	Origins    *Origins
	Replaced   *Replaced
}

// New returns an empty log.
func New() *Log {
	return &Log{
		Rejections: newRejections(maxRecent, maxCountedKeys), Leaks: newLeaks(maxLeaks),
		Origins: newOrigins(maxOriginsPerKey, maxSeenOrigins), Replaced: newReplaced(maxReplaced),
	}
}

// newLRU returns a cache for a positive number of entries. It is not safe for concurrent use.
func newLRU[K comparable, V any](entries int) *simplelru.LRU[K, V] {
	cache, err := simplelru.NewLRU[K, V](entries, nil)
	if err != nil {
		panic(fmt.Sprintf("creating a cache with %d entries: %v", entries, err)) // only a bug can cause this
	}
	return cache
}
