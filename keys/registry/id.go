package registry

import (
	"encoding/base32"
	"time"

	"github.com/google/uuid"
)

// crockford is base32 without letters that look alike. Its digits are in ASCII order, so ids sort by time.
var crockford = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// NewID returns a new key ID: "key_" and a UUIDv7 in 26 characters. IDs sort by the time of their creation.
func NewID() string {
	id := uuid.Must(uuid.NewV7()) // fails only without a source of randomness
	return "key_" + crockford.EncodeToString(id[:])
}

// currentTime returns the current time as it is stored.
func (r *Registry) currentTime() time.Time { return normalizeTime(r.now()) }

// normalizeTime removes the time zone and the monotonic clock reading. The zero time is returned unchanged.
func normalizeTime(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.Round(0).UTC()
}
