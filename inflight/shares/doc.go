// Package shares shares limits of requests in flight among several gates through Redis or Valkey, so that the requests in flight of all
// gates together stay below the limits of one.
//
//   - [Shares] are the shares that this process takes part in. Each class at each upstream is one of them.
//   - [Server] runs the script that divides a limit (share.lua).
//   - [Status] is what metrics show.
//
// There is no round trip for a request: each gate holds a share of the limit, in which its [inflight.Limiter] admits and queues requests
// as it does alone. The gates exchange what they need and what they have, at intervals that depend on the demand, and immediately when a
// request does not fit into the share. The script divides by max-min fairness, and never grants what another gate holds.
//
// A share is a lease. The gate measures it with its monotonic clock from before the exchange, the server with its own clock and for a
// longer time, so differences between clocks have no effect. Without the server, each gate continues with limit/N of N gates once its
// lease has ended.
package shares
