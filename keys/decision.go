package keys

// Reason is the outcome of a check of a token. The set is closed. The words are stable: they are labels of
// metrics and stand in logs.
type Reason string

// The reasons.
const (
	Allowed     Reason = "allowed"
	NoToken     Reason = "no_token"        // the token is empty
	Malformed   Reason = "malformed_token" // no token looks like this; see WellFormed
	Unknown     Reason = "unknown_token"   // no key has this token
	DisabledKey Reason = "disabled"        // by the operator
	NotYetValid Reason = "not_yet_valid"   // before the key's NotBefore
	Expired     Reason = "expired"         // at or after the key's Expires
	NotReady    Reason = "store_not_ready" // not all feeds were loaded yet, so nothing can be said about any token
)

// Decision is the outcome of a check of a token. The zero Decision allows nothing.
type Decision struct {
	// Key is the key that the token belongs to. It is set with Allowed, and for the log also with DisabledKey, NotYetValid
	// and Expired; otherwise nil. It must not be changed.
	Key    *Key
	Reason Reason
}

// Allowed reports whether the request may go on.
func (d Decision) Allowed() bool { return d.Reason == Allowed && d.Key != nil }
