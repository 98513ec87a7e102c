package keys

import "github.com/docsgate/docsgate/visitortoken"

// Reason is the outcome of verifying a token. The set is closed. The values are stable: they are metric labels and appear in
// logs.
type Reason string

// The reasons.
const (
	Allowed         Reason = "allowed"
	NoToken         Reason = "no_token"         // the token is empty
	Malformed       Reason = "malformed_token"  // cannot be a token; see IsValidToken
	BadChecksum     Reason = "bad_checksum"     // has the format of an issued token but a wrong checksum: never issued
	UnknownToken    Reason = "unknown_token"    // no key has this token
	DisabledKey     Reason = "disabled"         // by the operator
	RevokedKey      Reason = "revoked"          // by the operator, permanently
	UnusableKey     Reason = "unusable"         // the key's binding is unavailable at the moment
	TokenRotated    Reason = "replaced_token"   // a previous token whose grace period is over
	NotYetValid     Reason = "not_yet_valid"    // before the key's NotBefore
	Expired         Reason = "expired"          // at or after the key's Expires
	VisitorRequired Reason = "visitor_required" // the key accepts only signed tokens of visitors, and this is its own

	VisitorTokenInvalid Reason = "visitor_token_invalid" // a signed token of the key with a wrong signature, claim or time, or the key accepts none
	VisitorTokenExpired Reason = "visitor_token_expired" // a signed token of the key that has expired, or was invalidated with its generation

	FeedUnavailable Reason = "feed_away"       // no known key has this token, but a feed that may have it is unavailable
	LookupRejected  Reason = "rate_limited"    // not in the cache, and the LookupGuard has rejected the lookup
	NotReady        Reason = "store_not_ready" // not all feeds have been loaded yet, so no token can be decided on
)

// Decision is the outcome of verifying a token. The zero Decision does not allow the request.
type Decision struct {
	// Key is the key that the token belongs to. It is set with Allowed and, for logging, with DisabledKey, RevokedKey,
	// UnusableKey, NotYetValid, Expired and Replaced; otherwise it is nil. It must not be modified.
	Key    *Key
	Reason Reason
	Token  Digest // of the presented token; set with Key, except for signed tokens

	UsedPreviousToken bool // a previous token of the key was presented

	// Visitor is the visitor that a signed token belongs to; nil with a token of the key itself. It must not be modified.
	Visitor *visitortoken.Visitor
}

// Allowed reports whether the request may proceed.
func (d Decision) Allowed() bool { return d.Reason == Allowed && d.Key != nil }
