// Package quota counts the questions and the tokens of keys per day and month, for keys that have such limits.
//
// A question is counted, and its tokens are reserved, before it is forwarded (Counter.Reserve). Afterwards the reservation is
// settled with the tokens that the answer has cost, or released if nothing was forwarded. The reserved number is a running mean of
// the key's answers, so that concurrent answers exceed a limit by about one answer, and one answer does not block the others by
// reserving everything that is left.
//
// If only an estimate of the tokens is known, the reservation is settled with that (Reservation.SettleEstimate). A Reconciler replaces
// estimates by exact numbers, which a TokenSource knows some time later.
//
// The counts are in memory. A Saver restores them from a Storage, and saves changes every second and at the end. Reservations are
// not saved: after a crash they are gone. So are the estimates that were to be replaced: what they have counted remains.
package quota
