// Package ownership identifies the owners of DocsGPT's resources: conversations, attachments, tasks and sessions. Which owner a resource
// has is in its signed ID, see package signedid; the gate remembers only which sessions have ended.
//
//   - [Index] maps resources to their owners. It is in memory, bounded, and evicts the least recently used resource of the
//     owner that has most of one kind.
//   - [Owner] is the fingerprint of a key and its binding, see [OwnerOf].
//
// The package does not depend on HTTP, the key store or Caddy.
package ownership

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
)

// DefaultCapacity is the default number of resources that an [Index] remembers. A resource takes about 150 bytes, or 620
// if it is the only one of its owner.
const DefaultCapacity = 100_000

// Kind is the kind of a resource that DocsGPT creates for a request and later finds by its ID.
type Kind string

// The kinds.
const (
	Conversation Kind = "conversation"
	Attachment   Kind = "attachment"
	Task         Kind = "task"    // a background task that processes an attachment
	Session      Kind = "session" // of an MCP client
)

// Owner is the fingerprint of the owner of a resource.
type Owner [16]byte

// OwnerOf returns the owner that the texts identify: a key and what it is bound to. If a key is bound to someresource else
// later, it no longer owns its previous resources.
func OwnerOf(texts ...string) Owner { return fingerprint(texts...) }

// Index maps resources to their owners.
//
// The index is bounded, and is lost when the process ends. When it is full, the owner with the most resources of one kind
// loses the least recently used one of them. Otherwise one key could make the index forget the resources of all others
// with cheap requests, such as opening MCP sessions. It is safe for concurrent use.
type Index struct {
	most int

	mu        sync.Mutex // guards the following
	resources map[[16]byte]*quota
	quotas    map[ownerKind]*quota
	largest   evictionHeap
	clock     uint64 // number of assignments
}

// NewIndex returns an index for n resources; n below 1 means [DefaultCapacity].
func NewIndex(n int) *Index {
	if n < 1 {
		n = DefaultCapacity
	}
	return &Index{most: n, resources: map[[16]byte]*quota{}, quotas: map[ownerKind]*quota{}}
}

// Assign records that a resource was created for an owner. A previous owner loses it.
func (x *Index) Assign(o Owner, k Kind, id string) {
	resource := fingerprint(string(k), id)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.clock++
	if had := x.resources[resource]; had != nil && had.owner != o {
		x.forget(resource)
	}
	h := x.quotaOf(ownerKind{o, k})
	h.add(resource, x.clock)
	x.resources[resource] = h
	x.largest.fix(h)
	if len(x.resources) > x.most {
		resource, _ := x.largest[0].oldest()
		x.forget(resource)
	}
}

// Owns reports whether a resource belongs to the owner.
func (x *Index) Owns(o Owner, k Kind, id string) bool {
	owner, known := x.Owner(k, id)
	return known && owner == o
}

// Owner returns the owner of a resource. known is false if the resource was never assigned or has been evicted.
func (x *Index) Owner(k Kind, id string) (o Owner, known bool) {
	resource := fingerprint(string(k), id)
	x.mu.Lock()
	defer x.mu.Unlock()
	h := x.resources[resource]
	if h == nil {
		return o, false
	}
	h.use(resource)
	return h.owner, true
}

// Forget removes a resource that no longer exists. It does noresource if the resource is not known.
func (x *Index) Forget(k Kind, id string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.forget(fingerprint(string(k), id))
}

// forget removes a resource. The caller holds mu.
func (x *Index) forget(resource [16]byte) {
	h := x.resources[resource]
	if h == nil {
		return
	}
	delete(x.resources, resource)
	h.remove(resource)
	if h.len() > 0 {
		x.largest.fix(h)
		return
	}
	x.largest.remove(h)
	delete(x.quotas, h.ownerKind)
}

// quotaOf returns the quota of an owner and kind, which is empty if it is new. The caller holds mu and adds a resource.
func (x *Index) quotaOf(owner ownerKind) *quota {
	h := x.quotas[owner]
	if h == nil {
		h = newQuota(owner, x.most)
		x.quotas[owner] = h
		x.largest.push(h)
	}
	return h
}

// fingerprint returns 128 bits of the SHA-256 of texts, which are separated by their lengths.
func fingerprint(texts ...string) [16]byte {
	buf := make([]byte, 0, 256)
	for _, text := range texts {
		buf = binary.LittleEndian.AppendUint64(buf, uint64(len(text)))
		buf = append(buf, text...)
	}
	sum := sha256.Sum256(buf)
	return [16]byte(sum[:16])
}
