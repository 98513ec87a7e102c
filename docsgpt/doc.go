// Package docsgpt is DocsGPT's HTTP contract as code: which endpoints take a key and where, what a client may send,
// what the gate puts into the body it forwards, how a stream and an error look, and how all of that differs between
// versions. It knows no key store, no Caddy and no network.
//
// The way of a request through this package:
//
//	Routes.Find      which endpoint a path is, or none
//	Parse            the client's JSON body, strictly
//	ReadForm         the client's form, strictly; its files are written out under a boundary of the gate's own
//	Body.Rewrite     the one body that is forwarded: allowed members as they came, the binding in the gate's own words
//	Events           the stream on its way back: whole data events for widgets
//	Translate        an upstream error in words that the endpoint's clients can read
//	Shape.AppendError     any refusal in that same shape
package docsgpt
