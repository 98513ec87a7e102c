// Package keys holds what a key of the gate is, the store that is the authority on all keys, the cache in front of it, and
// the way keys come in from feeds. It knows no HTTP and no Caddy.
//
// # The life of a key
//
// A key begins as a record in a feed: a place that keys come from, such as a key file (package filefeed). The record has a
// public ID and a Name, the SHA-256 digest of its token, a state, optional bounds in time, and one binding: the sources it
// may ask, or the upstream agent key that is swapped in for it. The token itself is never stored.
//
// The [Syncer] loads every feed and hands its records to the [Store] as a whole. The store compares them with what the feed
// had before and writes only the differences, in one transaction: a reader sees all of a change or nothing of it. Two
// records with one ID or one token are refused, and then nothing of the set is applied; the last good keys stay.
// A feed that cannot be read leaves its keys as they were. A feed that knows what has changed in it (a [Tracker]) hands over
// only that, once it was loaded. Of such a feed, and of one that another system keeps (a [Remote]), a key in conflict is left
// out once it has given keys, and all else counts: a revocation must not wait until somebody has ended the conflict. A
// [Listener] of the store hears of every change, such as the listing that people search (package catalog).
//
// A client presents a token. The [Verifier] checks that it can be a token at all, takes its [Digest], and looks for the
// record: first in a cache, then in the store. What it finds it judges against the clock: a disabled key, one that is not
// valid yet and one that has expired are refused, however lately they were allowed. The outcome is a [Decision], either
// allowed or one of a closed set of reasons; it is never an error.
//
// A key ends when its feed drops it, changes it or goes away. The store marks the old record as retired before the call that
// removed it returns, and the cache looks at that mark on every hit, so the next request is judged by the new record. What
// the cache knows of unknown tokens is tied to the store's revision and is void once anything has changed: a new key
// counts from the next request too.
//
// # What is never shown
//
// Tokens are not kept. Agent keys are of type [Secret], and it and [Digest] print as REDACTED wherever they are formatted,
// encoded or logged. Errors and reasons name keys by their ID.
package keys
