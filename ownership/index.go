// Package ownership holds pure decisions about a key and what a request is about. It knows no HTTP, no key store and no
// Caddy.
package ownership

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// DefaultCapacity is how many things are remembered by default. One takes about 150 bytes; one that is its
// owner's only thing, 620.
const DefaultCapacity = 100_000

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

// Index remembers which key was given what, so that a key can only go on with its own. DocsGPT itself lets every
// key of an owner continue, read and (with "index") cut any conversation of that owner, and use any attachment of it;
// its MCP sessions and background jobs are nobody's.
//
// The memory is bounded and ends with the process. When it is full, whoever has most of one kind in it loses the longest
// unused of that: else one key could make the gate forget what all others were given, with requests that cost next to
// nothing, such as opening MCP sessions. Safe for concurrent use.
type Index struct {
	most int

	mu        sync.Mutex // guards the following
	resources map[[16]byte]*quota
	holders   map[ownerKind]*quota
	largest   evictionHeap
	clock     uint64 // counts what was given
}

// NewIndex returns a memory for n things; n below 1 is [DefaultCapacity].
func NewIndex(n int) *Index {
	if n < 1 {
		n = DefaultCapacity
	}
	return &Index{most: n, resources: map[[16]byte]*quota{}, holders: map[ownerKind]*quota{}}
}

// Assign notes that a thing was made for an owner.
func (b *Index) Assign(o Owner, k Kind, id string) {
	thing := fingerprint(string(k), id)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.clock++
	if had := b.resources[thing]; had != nil && had.owner != o {
		b.forget(thing)
	}
	h := b.holdingOf(ownerKind{o, k})
	h.add(thing, b.clock)
	b.resources[thing] = h
	b.largest.fix(h)
	if len(b.resources) > b.most {
		thing, _ := b.largest[0].oldest()
		b.forget(thing)
	}
}

// Owns tells whether a thing was given to the owner, and to nobody else since.
func (b *Index) Owns(o Owner, k Kind, id string) bool {
	owner, known := b.Owner(k, id)
	return known && owner == o
}

// Take reports whether a thing was given to the owner, and to nobody else since, and if so takes it away: of several
// concurrent calls only one gets it.
func (b *Index) Take(o Owner, k Kind, id string) bool {
	thing := fingerprint(string(k), id)
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.resources[thing]
	if h == nil || h.owner != o {
		return false
	}
	b.forget(thing)
	return true
}

// Owner returns who was given a thing; known is false for what was never given or is forgotten.
func (b *Index) Owner(k Kind, id string) (o Owner, known bool) {
	thing := fingerprint(string(k), id)
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.resources[thing]
	if h == nil {
		return o, false
	}
	h.use(thing)
	return h.owner, true
}

// Forget drops what is known of a thing that is gone.
func (b *Index) Forget(k Kind, id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(fingerprint(string(k), id))
}

// forget drops a thing. The caller holds mu.
func (b *Index) forget(thing [16]byte) {
	h := b.resources[thing]
	if h == nil {
		return
	}
	delete(b.resources, thing)
	h.remove(thing)
	if h.len() > 0 {
		b.largest.fix(h)
		return
	}
	b.largest.remove(h)
	delete(b.holders, h.ownerKind)
}

// holdingOf returns what a holder has, nothing if it is new. The caller holds mu and gives it something.
func (b *Index) holdingOf(who ownerKind) *quota {
	h := b.holders[who]
	if h == nil {
		h = newHolding(who, b.most)
		b.holders[who] = h
		b.largest.push(h)
	}
	return h
}

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
