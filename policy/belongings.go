// Package policy holds pure decisions about a key and what a request is about. It knows no HTTP, no key store and no
// Caddy.
package policy

import (
	"crypto/sha256"
	"encoding/binary"

	lru "github.com/hashicorp/golang-lru/v2"
)

// MaxBelongings is how many things are remembered by default. One takes about 120 bytes.
const MaxBelongings = 100_000

// Kind is a kind of thing that DocsGPT makes for a request and later finds by its id.
type Kind string

// The kinds.
const (
	Conversation Kind = "conversation"
	Attachment   Kind = "attachment"
	Task         Kind = "task"    // a job that works on an attachment
	Session      Kind = "session" // of an MCP client
)

// Owner is a fingerprint of who was given something.
type Owner [16]byte

// OwnerOf returns the owner that some texts name: a key, and what it is bound to, so that a key that is bound to
// something else later does not find what it had before.
func OwnerOf(texts ...string) Owner { return fingerprint(texts...) }

// Belongings remembers which key was given what, so that a key can only go on with its own. DocsGPT itself lets every
// key of an owner continue, read and (with "index") cut any conversation of that owner, and use any attachment of it;
// its MCP sessions and background jobs are nobody's.
//
// The memory is bounded: the longest unused are forgotten first, and all when the process ends. Safe for concurrent
// use.
type Belongings struct {
	owners *lru.Cache[[16]byte, Owner]
}

// NewBelongings returns a memory for n things; n below 1 is [MaxBelongings].
func NewBelongings(n int) *Belongings {
	if n < 1 {
		n = MaxBelongings
	}
	owners, err := lru.New[[16]byte, Owner](n)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &Belongings{owners: owners}
}

// Give notes that a thing was made for an owner.
func (b *Belongings) Give(o Owner, k Kind, id string) { b.owners.Add(fingerprint(string(k), id), o) }

// Owns tells whether a thing was given to the owner, and to nobody else since.
func (b *Belongings) Owns(o Owner, k Kind, id string) bool {
	owner, known := b.Owner(k, id)
	return known && owner == o
}

// Owner returns who was given a thing; known is false for what was never given or is forgotten.
func (b *Belongings) Owner(k Kind, id string) (o Owner, known bool) {
	return b.owners.Get(fingerprint(string(k), id))
}

// Forget drops what is known of a thing that is gone.
func (b *Belongings) Forget(k Kind, id string) { b.owners.Remove(fingerprint(string(k), id)) }

// fingerprint is 128 bits of SHA-256 over texts that are kept apart by their lengths.
func fingerprint(texts ...string) [16]byte {
	buf := make([]byte, 0, 256)
	for _, text := range texts {
		buf = binary.LittleEndian.AppendUint64(buf, uint64(len(text)))
		buf = append(buf, text...)
	}
	sum := sha256.Sum256(buf)
	return [16]byte(sum[:16])
}
