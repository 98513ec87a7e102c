package keys

// Reason is the outcome of a check of a token. The set is closed. The words are stable: they are labels of
// metrics and stand in logs.
type Reason string

// The reasons.
const (
	Allowed     Reason = "allowed"
	NoToken     Reason = "no_token"        // the token is empty
	Malformed   Reason = "malformed_token" // no token looks like this; see WellFormed
	BadChecksum Reason = "bad_checksum"    // a token of the gate's form that was never made
	Unknown     Reason = "unknown_token"   // no key has this token
	DisabledKey Reason = "disabled"        // by the operator
	RevokedKey  Reason = "revoked"         // by the operator, for ever
	UnusableKey Reason = "unusable"        // the key's binding cannot be known at the moment
	Replaced    Reason = "replaced_token"  // another token took its place, and its grace is over
	NotYetValid Reason = "not_yet_valid"   // before the key's NotBefore
	Expired     Reason = "expired"         // at or after the key's Expires
	FeedAway    Reason = "feed_away"       // no known key has this token, but a feed that might know it cannot be read
	NotReady    Reason = "store_not_ready" // not all feeds were loaded yet, so nothing can be said about any token
)

// Decision is the outcome of a check of a token. The zero Decision allows nothing.
type Decision struct {
	// Key is the key that the token belongs to. It is set with Allowed, and for the log also with DisabledKey, RevokedKey,
	// UnusableKey, NotYetValid, Expired and Replaced; otherwise nil. It must not be changed.
	Key    *Key
	Reason Reason

	Old bool // the token is one that another has replaced
}

// Allowed reports whether the request may go on.
func (d Decision) Allowed() bool { return d.Reason == Allowed && d.Key != nil }
