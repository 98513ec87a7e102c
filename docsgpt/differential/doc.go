// Package differential holds no code, only tests that ask Python what DocsGPT would read: Flask about the bodies that
// the gate forwards, and Werkzeug about the paths that it serves. Package docsgpt decides about a request by its own
// reading of it; where DocsGPT's reading differs, a decision could be about another request than the one that is
// answered.
//
// The tests need the Python environment that scripts/provision.sh makes; `make test` runs it.
package differential
