// Package policy holds pure decisions about a key and what a request is about. It knows no HTTP, no key store and no
// Caddy.
package policy

import (
	"crypto/sha256"
	"encoding/binary"

	lru "github.com/hashicorp/golang-lru/v2"
)

// MaxConversations is how many conversations are remembered by default. One takes about 100 bytes.
const MaxConversations = 100_000

// Conversations remembers which key was given which conversation, so that a key can only go on with its own. DocsGPT
// itself lets every key of an owner continue, read and (with "index") cut any conversation of that owner.
//
// The memory is bounded: the longest unused are forgotten first, and all when the process ends. A forgotten
// conversation is not foreign, it just starts anew upstream; widgets send their history along, so their users notice
// nothing. Safe for concurrent use.
type Conversations struct {
	seen *lru.Cache[[16]byte, struct{}]
}

// NewConversations returns a memory for n conversations; n below 1 is [MaxConversations].
func NewConversations(n int) *Conversations {
	if n < 1 {
		n = MaxConversations
	}
	seen, err := lru.New[[16]byte, struct{}](n)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &Conversations{seen: seen}
}

// Give notes that a conversation was made for an owner. The owner is a text that names the key and what it is bound
// to, so that a key that is bound to something else later does not find its old conversations.
func (c *Conversations) Give(owner, conversation string) {
	c.seen.Add(mark(owner, conversation), struct{}{})
}

// Owns tells whether the conversation was given to the owner.
func (c *Conversations) Owns(owner, conversation string) bool {
	_, ok := c.seen.Get(mark(owner, conversation))
	return ok
}

// mark is a short fingerprint: 128 bits of SHA-256 over both texts, kept apart by the length of the first.
func mark(owner, conversation string) [16]byte {
	buf := make([]byte, 0, 256)
	buf = binary.LittleEndian.AppendUint64(buf, uint64(len(owner)))
	buf = append(buf, owner...)
	buf = append(buf, conversation...)
	sum := sha256.Sum256(buf)
	return [16]byte(sum[:16])
}
