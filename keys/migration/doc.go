// Package migration copies the keys of one storage to another while both may be in use. The first copy needs an empty target; later
// ones add what has changed in the source since then.
//
// Each change of a key has an entry in the audit trail, so the entries that only one of the storages has name the keys to copy, and
// those that were changed in both.
package migration
