// Package cancellation cancels answers at DocsGPT that no client reads any longer. DocsGPT continues an answer whose client has
// disconnected, and the model is paid for until its end.
//
//   - [Canceler] cancels answers in the background, in bounded number.
//   - [Target] is one DocsGPT with the gate's credential there. It remembers when DocsGPT does not allow that credential to cancel.
//   - [Outcome] is what has happened to an answer.
//
// The package does not depend on Caddy or the key store.
package cancellation
