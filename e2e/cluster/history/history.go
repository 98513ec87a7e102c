// Package history checks what clients of several gates have observed, in the style of Jepsen: whether each response can be explained by the
// acknowledged changes of the keys, and by how long a change may take to arrive at a gate.
package history

import (
	"fmt"
	"time"
)

// Kind is what an operation does.
type Kind int

// The kinds of operations.
const (
	Create Kind = iota // of a key with a first token
	Revoke
	Disable
	Enable
	Rotate // without a grace period
	Check  // a request with a token
)

// String returns the name of a kind.
func (k Kind) String() string {
	return [...]string{"create", "revoke", "disable", "enable", "rotate", "check"}[k]
}

// Outcome is what the client knows after an operation.
type Outcome int

// The outcomes.
const (
	Unknown     Outcome = iota // of a change: it may take effect at any time, or never; of a check: there was no response
	OK                         // of a change: it was acknowledged
	Rejected                   // of a change: it had no effect
	Valid                      // of a check
	Invalid                    // of a check: the token is rejected
	Unavailable                // of a check: the gate cannot decide
	Limited                    // of a check: the token is valid, but has too many requests
)

// String returns the name of an outcome.
func (o Outcome) String() string {
	return [...]string{"unknown", "ok", "rejected", "valid", "invalid", "unavailable", "limited"}[o]
}

// Op is an operation at a gate. Changes of one key do not overlap. Times are relative to the beginning of the history.
type Op struct {
	Node, Key  int
	Kind       Kind
	Token      int // of Create and Rotate: the number of the token that it creates; of Check: of the token that is presented
	Limit      int // of Create: the most requests of the key, which are not replenished during the history; 0: any number
	Begin, End time.Duration
	Outcome    Outcome
}

// String describes an operation.
func (o *Op) String() string {
	return fmt.Sprintf("%v to %v: node %d: %s of key %d, token %d: %s", o.Begin.Round(time.Millisecond), o.End.Round(time.Millisecond), o.Node,
		o.Kind, o.Key, o.Token, o.Outcome)
}

// Interval is a time in which a gate is not running, or has no usable connection to the database.
type Interval struct{ From, To time.Duration }

// Sample is a request to a gate that needs neither keys nor a database: how long it takes shows how much the machine delays everything.
type Sample struct{ Begin, End time.Duration }

// History is what was observed.
type History struct {
	Ops          []Op               // in the order of their ends
	Disconnected map[int][]Interval // by node, in order
	LimitFaults  []Interval         // of the server of limits, for any of the gates
	Control      map[int][]Sample   // by node, in order
}

// Rules are what is checked.
type Rules struct {
	// Propagation is how long an acknowledged change may take to arrive at a connected gate, in addition to the slowest control request in
	// that time.
	Propagation time.Duration

	// Recovery is how long a gate may take after the end of an Interval until it is connected.
	Recovery time.Duration

	// MaxGates is the greatest number of gates by which a gate divides a limit while it has no connection to the server of limits. It
	// includes those that have ended shortly before.
	MaxGates int
}

// Violation is a response that the changes do not explain.
type Violation struct {
	Op      Op
	Message string
	Changes []Op // of the key
}

// String describes a violation.
func (v *Violation) String() string {
	text := v.Message + "\n  " + v.Op.String()
	for i := range v.Changes {
		text += "\n    " + v.Changes[i].String()
	}
	return text
}
