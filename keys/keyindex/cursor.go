package keyindex

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"math"
	"slices"

	"github.com/docsgate/docsgate/keys"
)

// position is the position of a key in the sort order.
type position struct {
	seconds int64 // Unix time; the minimum for a key without a creation time
	nanos   int32
	id      string
}

func positionOf(k *keys.Key) position {
	if k.Created.IsZero() {
		return position{seconds: math.MinInt64, id: k.ID}
	}
	return position{k.Created.Unix(), int32(k.Created.Nanosecond()), k.ID}
}

// comparePositions returns a negative number if a is sorted before b.
func comparePositions(a, b position) int {
	switch {
	case a.seconds != b.seconds:
		return cmp.Compare(b.seconds, a.seconds)
	case a.nanos != b.nanos:
		return cmp.Compare(b.nanos, a.nanos)
	default:
		return cmp.Compare(a.id, b.id)
	}
}

// positionedKey is a key with its position. A million of them are sorted without following a pointer for each comparison.
type positionedKey struct {
	position
	key *keys.Key
}

func sorted(all []*keys.Key) []positionedKey {
	list := make([]positionedKey, len(all))
	for i, k := range all {
		list[i] = positionedKey{positionOf(k), k}
	}
	slices.SortFunc(list, func(a, b positionedKey) int { return comparePositions(a.position, b.position) })
	return list
}

// cursorBytes is the length of a cursor without the ID: version, seconds, nanoseconds, and a checksum of everything before it,
// which distinguishes a cursor from arbitrary text.
const (
	cursorVersion = 1
	cursorBytes   = 1 + 8 + 4 + 4
)

func (p position) cursor() string {
	b := make([]byte, 0, cursorBytes+len(p.id))
	b = append(b, cursorVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(p.seconds))
	b = binary.BigEndian.AppendUint32(b, uint32(p.nanos))
	b = append(b, p.id...)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return base64.RawURLEncoding.EncodeToString(b)
}

func parseCursor(s string) (position, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) < cursorBytes || b[0] != cursorVersion {
		return position{}, ErrCursor
	}
	body, sum := b[:len(b)-4], b[len(b)-4:]
	if crc32.ChecksumIEEE(body) != binary.BigEndian.Uint32(sum) {
		return position{}, ErrCursor
	}
	p := position{
		seconds: int64(binary.BigEndian.Uint64(body[1:])), nanos: int32(binary.BigEndian.Uint32(body[9:])), id: string(body[13:]),
	}
	if p.cursor() != s { // the decoder ignores newlines
		return position{}, ErrCursor
	}
	return p, nil
}
