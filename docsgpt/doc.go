// Package docsgpt describes DocsGPT's HTTP API: its endpoints and where they take a key, what a client may send, what the
// gate writes into the body that it forwards, the formats of streams and errors, and how all of that differs between
// versions. It does not import the key store, Caddy or a network client.
//
// A request passes through the package in this order:
//
//	Routes.Find               find the endpoint of a path
//	Body.Parse                parse the client's JSON body strictly
//	ReadForm                  parse the client's form strictly and copy its files into a new form
//	Body.Check                validate the allowed fields
//	Body.Rewrite              build the body to forward: the allowed fields, and the key or the sources
//	SSEFilter                 pass complete data events of the stream to widgets
//	MapError                  map an upstream error to an [Error]
//	ErrorFormat.AppendError   write an [Error] in the format that the endpoint's clients can read
//
// The package calls the members of JSON objects fields, as its error messages do.
package docsgpt
