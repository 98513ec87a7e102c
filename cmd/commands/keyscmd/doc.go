// Package keyscmd implements the subcommand "keys", which manages the keys of the gate. It is not called keys because it uses the
// package keys.
package keyscmd
