package keys

import "sync/atomic"

// record is a stored key. The key never changes.
type record struct {
	Key
	ref atomic.Pointer[recordRef] // nil: none was needed yet; retiredRef once the record is removed from the store
}

// recordRef is what a cache holds in place of a record. It is cleared when the record is removed from the store, so that the cache does
// not keep removed records in memory until it evicts them.
type recordRef struct{ rec atomic.Pointer[record] }

// retiredRef belongs to all records that were removed from their store.
var retiredRef = new(recordRef)

// reference returns the reference to the record, which is the same for each call. The record may be retired.
func (r *record) reference() *recordRef {
	if ref := r.ref.Load(); ref != nil {
		return ref
	}
	ref := new(recordRef)
	ref.rec.Store(r)
	if !r.ref.CompareAndSwap(nil, ref) {
		return r.ref.Load()
	}
	return ref
}

// get returns the record, or nil if it was removed from the store. ref may be nil.
func (ref *recordRef) get() *record {
	if ref == nil {
		return nil
	}
	return ref.rec.Load()
}

// retire clears the reference to a record that is removed from the store.
func (r *record) retire() {
	if ref := r.ref.Swap(retiredRef); ref != nil {
		ref.rec.Store(nil)
	}
}
