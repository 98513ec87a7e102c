// Package blocklist remembers which conversations no key may use, although their IDs are signed: those with an answer in flight, and
// those whose answer has reported a tool call or was not relayed to its end. Only conversations of keys whose tool calls are rejected are
// in it.
//
//   - [List] is the list. It is in memory and, once opened, in a file, so that it survives restarts.
//   - [Shared] is the list of several gates, in a storage.
//   - [Identity] is part of the signature of the IDs that a list is about. A list that was lost, damaged or is in use by another process
//     is replaced by one with another identity, so that the IDs of the lost list are no longer valid. No other list knows what is in it.
//
// The package does not depend on HTTP, the key store or Caddy.
package blocklist
