package keys

import (
	"slices"

	"github.com/docsgate/docsgate/policy"
	"github.com/docsgate/docsgate/visitortoken"
)

// Override is what the gate's operator has changed of a key that another system maintains. The zero value changes nothing. It never
// changes once a store has it.
type Override struct {
	Disabled bool
	Policy   *policy.Policy // see policy.Policy.Override; nil: that of the key

	// VisitorTokens verify the signed tokens of visitors, in place of those of the key; nil: those of the key.
	VisitorTokens *visitortoken.Settings

	// Unknown means that the changes are not known, so the key may be disabled: it is rejected as unavailable.
	Unknown bool
}

// apply returns the key with the changes. The original is not modified.
func (o *Override) apply(k *Key) Key {
	changed := *k
	p, usable := o.Policy.Override(k.Policy)
	changed.Policy = p
	if o.VisitorTokens != nil {
		changed.VisitorTokens = o.VisitorTokens
	}
	switch {
	case k.State == Revoked:
	case o.Disabled:
		changed.State = Disabled
	case (!usable || o.Unknown) && k.State == Active:
		changed.State = BindingUnavailable
	}
	return changed
}

// SetOverrides makes the store apply overrides to the keys of all feeds but one, whose keys the gate itself maintains. of returns the
// override of a key, or nil; it must not call the store. It must be called before keys are written. When the override of a key has
// changed, ApplyOverride must be called.
func (s *Store) SetOverrides(exceptFeed string, of func(id string) *Override) {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	s.exceptFeed, s.overrideOf = exceptFeed, of
}

// ApplyOverride applies the current override of a key. When it returns, all further reads and decisions use it. A key that the store
// does not have gets it as soon as a feed has the key.
func (s *Store) ApplyOverride(id string) {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	txn := s.db.Txn(true)
	defer txn.Abort()
	old := s.byID(txn, id)
	if old == nil {
		return
	}
	var diff changeSet
	rec := s.newRecord(old.Feed, s.original(old), &diff)
	delete(s.originals, id) // the changes have it again, unless it has no override any more
	if !rec.equal(&old.Key) {
		diff.change.Updated++
		diff.out, diff.in = []*record{old}, []*record{rec}
	}
	s.apply(txn, diff)
}

// ApplyOverrides is ApplyOverride for all keys.
func (s *Store) ApplyOverrides() {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	txn := s.db.Txn(true)
	defer txn.Abort()
	var diff changeSet
	each(txn, func(old *record) {
		if old.Feed == s.exceptFeed {
			return
		}
		rec := s.newRecord(old.Feed, s.original(old), &diff)
		if rec.equal(&old.Key) {
			if _, changed := diff.originals[old.ID]; !changed {
				delete(s.originals, old.ID)
			}
			return
		}
		diff.change.Updated++
		diff.out, diff.in = append(diff.out, old), append(diff.in, rec)
	})
	s.apply(txn, diff)
}

// Original returns a key as its feed has it, without an override, or nil.
func (s *Store) Original(id string) *Key {
	s.writeMu.Lock()
	defer s.writeMu.Unlock()
	rec := s.byID(s.db.Txn(false), id)
	if rec == nil {
		return nil
	}
	return s.original(rec)
}

// original returns the key of a record as its feed has it.
func (s *Store) original(rec *record) *Key {
	if k := s.originals[rec.ID]; k != nil {
		return k
	}
	return &rec.Key
}

// newRecord returns the record of a feed's key. If the key has an override, the original is added to the changes.
func (s *Store) newRecord(feed string, k *Key, diff *changeSet) *record {
	rec := &record{Key: *k}
	s.complete(rec, feed, diff)
	return rec
}

// complete makes a new record one of a feed's key. If the key has an override, the original is added to the changes.
func (s *Store) complete(rec *record, feed string, diff *changeSet) {
	rec.Feed = feed
	if s.overrideOf == nil || feed == s.exceptFeed {
		return
	}
	o := s.overrideOf(rec.ID)
	if o == nil {
		return
	}
	original := rec.Key
	original.Binding.Sources, original.PreviousTokens = slices.Clone(original.Binding.Sources), slices.Clone(original.PreviousTokens)
	if diff.originals == nil {
		diff.originals = make(map[string]*Key)
	}
	diff.originals[rec.ID] = &original
	rec.Key = o.apply(&rec.Key)
}

// keepOriginals stores the originals of changed keys.
func (s *Store) keepOriginals(diff changeSet) {
	for _, rec := range diff.out {
		delete(s.originals, rec.ID)
	}
	for id, k := range diff.originals {
		if s.originals == nil {
			s.originals = make(map[string]*Key)
		}
		s.originals[id] = k
	}
}
