package registry

import (
	"encoding/base32"
	"time"

	"github.com/google/uuid"
)

// crockford is base32 without letters that look alike. Its digits are in the order of ASCII, so that ids sort by time.
var crockford = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID makes the id of a key: "key_" and a UUIDv7 in 26 characters. Ids sort by the time at which they were made.
func NewID() string {
	id := uuid.Must(uuid.NewV7()) // fails only without randomness; then no token could be made either
	return "key_" + crockford.EncodeToString(id[:])
}

// moment is the time now as it is stored.
func (r *Registry) moment() time.Time { return stored(r.now()) }

// stored is a time without zone and reading of the monotonic clock. The zero time stays.
func stored(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.Round(0).UTC()
}
