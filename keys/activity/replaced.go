package activity

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/docsgate/docsgate/keys"
)

// maxReplaced is the number of replaced tokens that are remembered, in about 1 MB. The least recently used one is forgotten.
const maxReplaced = 10_000

// Replaced has the tokens that keys have had before, since the process started: after a rotation without a grace period the records of
// keys do not contain them. It is a keys.Listener and safe for concurrent use.
type Replaced struct {
	mu    sync.Mutex
	keyOf *simplelru.LRU[keys.Digest, string] // ID
}

func newReplaced(entries int) *Replaced {
	return &Replaced{keyOf: newLRU[keys.Digest, string](entries)}
}

// KeyOf returns the ID of the key that had a token; "" if none is known.
func (r *Replaced) KeyOf(token keys.Digest) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	id, _ := r.keyOf.Get(token)
	return id
}

// KeysChanged implements keys.Listener. Tokens of deleted keys are not remembered.
func (r *Replaced) KeysChanged(out, in []*keys.Key) {
	if len(out) == 0 {
		return
	}
	current := make(map[string]*keys.Key, len(in))
	for _, k := range in {
		current[k.ID] = k
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, old := range out {
		k := current[old.ID]
		if k == nil {
			continue
		}
		if old.Digest != k.Digest && !hasToken(k, old.Digest) {
			r.keyOf.Add(old.Digest, old.ID)
		}
		for i := range old.PreviousTokens {
			if d := old.PreviousTokens[i].Digest; !hasToken(k, d) {
				r.keyOf.Add(d, old.ID)
			}
		}
	}
}

func hasToken(k *keys.Key, token keys.Digest) bool {
	for i := range k.PreviousTokens {
		if k.PreviousTokens[i].Digest == token {
			return true
		}
	}
	return k.Digest == token
}

var _ keys.Listener = (*Replaced)(nil)
