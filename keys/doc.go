// Package keys defines what a key of the gate is. It contains the store that is the authority on all keys, the cache in front
// of it, and the syncer that loads keys from feeds. It depends on neither HTTP nor Caddy.
//
// # Lifecycle of a key
//
// A key begins as a record in a feed: a place that keys come from, such as a key file (package filefeed). The record has a
// public ID and a Name, the SHA-256 digest of its token, a state, optional time bounds, and exactly one binding: the sources
// that it may query, or the upstream agent key that replaces the token. The token itself is never stored.
//
// The [Syncer] loads every feed and passes all its records to the [Store]. The store compares them with the previous records of
// the feed and writes only the differences, in one transaction: a reader sees either the whole change or none of it. Two
// records with the same ID or the same token are a conflict: nothing of the set is applied, and the last good keys stay. A feed
// that cannot be read leaves its keys unchanged. A feed that knows what has changed in it (a [DeltaFeed]) passes only the changes
// once it has been loaded. If such a feed, or a feed that another system maintains (a [RemoteFeed]), has provided keys before, a
// conflict affects only the conflicting keys and everything else is applied: a revocation must not wait until a conflict is
// resolved. A [Listener] of the store is notified of every change, for example the index that the console searches (package
// keyindex).
//
// A client presents a token. The [Verifier] checks that it can be a token at all, computes its [Digest], and looks up the
// record: first in a cache, then in the store. The record is then checked against the clock: a disabled key, a key that is not
// yet valid and an expired key are rejected, however recently they were allowed. The outcome is a [Decision]: either allowed or
// one of a closed set of reasons. It is never an error.
//
// A key ends when its feed removes it, changes it, or is removed itself. The store clears the reference to the old
// record before the call that removed it returns, and the cache only has that reference, so the next request is decided by the
// new record, and the old one does not stay in memory. Cached unknown tokens are tied to the store's revision and become invalid with any change, so a new key is valid
// from the next request on, too.
//
// # What is never shown
//
// Tokens are not stored. Agent keys are of type [Secret]. Secret and [Digest] print as REDACTED wherever they are formatted,
// encoded or logged. Errors and reasons name keys by their ID.
package keys
