package keys

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// maxTokenBytes is the maximum length of a token. DocsGPT's keys have 36 bytes, the gate's own tokens 40.
const maxTokenBytes = 512

// errBadDigest does not repeat the text: people paste tokens where digests belong.
var errBadDigest = errors.New("a digest must have exactly 64 hex digits")

// Digest is the SHA-256 of a token, the only form in which a token is stored. Digests are comparable with ==. A digest prints
// as REDACTED, since the digest of a guessable token is as good as the token; the exception is an unexported field, where fmt
// does not call its methods. Use Hex to show it on purpose.
type Digest [sha256.Size]byte

// DigestOf returns the digest of a token. For a token of up to 512 bytes it does not allocate.
func DigestOf(token string) Digest {
	var buf [maxTokenBytes]byte // a plain conversion allocates for more than 32 bytes
	return sha256.Sum256(append(buf[:0], token...))
}

// ParseDigest parses exactly 64 hex digits, in upper or lower case. The error does not repeat the text.
func ParseDigest(s string) (Digest, error) {
	var d Digest
	if len(s) != hex.EncodedLen(len(d)) {
		return Digest{}, errBadDigest
	}
	if _, err := hex.Decode(d[:], []byte(s)); err != nil {
		return Digest{}, errBadDigest
	}
	return d, nil
}

// Hex returns the digest as 64 lower case hex digits, the form used in key files.
func (d Digest) Hex() string { return hex.EncodeToString(d[:]) }

// IsZero reports whether the digest is unset.
func (d Digest) IsZero() bool { return d == Digest{} }

// String returns "REDACTED"; see Hex.
func (d Digest) String() string { return redacted }

// Format prints "REDACTED" for every verb; see Hex.
func (d Digest) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns "REDACTED"; see Hex.
func (d Digest) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns "REDACTED"; see Hex.
func (d Digest) LogValue() slog.Value { return slog.StringValue(redacted) }

// hash is the key of the tables and the cache. Digests are uniformly distributed, so a part of them is enough. Finding a
// collision of these 64 bits gains nothing, since the whole digest is compared wherever hash is used.
func (d *Digest) hash() uint64 { return binary.BigEndian.Uint64(d[:8]) }

// IsValidToken reports whether s can be a token at all: 1 to 512 bytes of printable ASCII without spaces (0x21 to 0x7e).
func IsValidToken(s string) bool {
	if s == "" || len(s) > maxTokenBytes {
		return false
	}
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
