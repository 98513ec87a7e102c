package boltstore

import (
	"errors"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/docsgate/docsgate/internal/wire"
)

// The version of the format that this package writes. A new minor version adds data that an older gate preserves without
// knowing it. A new major version changes what an older gate would misread or corrupt.
const (
	formatMajor = 1
	formatMinor = 3 // 1 and 2: the buckets quotas and overrides; 3: what signed visitors are verified with, in records and overrides
)

const (
	formatMajorField = 1
	formatMinorField = 2

	stateRevision = 1
	stateSeq      = 2
	stateCounts   = 16 // and following, one per bucket

	noteAt   = 1
	noteText = 2
)

func formatBody(major, minor uint64) []byte {
	return wire.AppendNumber(wire.AppendNumber(nil, formatMajorField, major), formatMinorField, minor)
}

func decodeFormat(body []byte) (major, minor uint64, err error) {
	err = wire.Fields(body, func(f wire.Field) error {
		switch f.Number {
		case formatMajorField:
			major = f.Varint
		case formatMinorField:
			minor = f.Varint
		}
		return nil
	})
	if err == nil && major == 0 {
		err = errors.New("the format version is missing")
	}
	return major, minor, err
}

// state is the store's metadata: the latest revision and sequence, and the number of rows of each bucket, by which lost pages
// are detected.
type state struct {
	revision, seq uint64
	counts        [bucketCount]uint64 // always 0 for meta
	unknown       []byte              // fields of a newer minor version
}

func (s *state) body() []byte {
	b := wire.AppendNumber(wire.AppendNumber(nil, stateRevision, s.revision), stateSeq, s.seq)
	for i, n := range s.counts {
		b = wire.AppendNumber(b, stateCounts+protowire.Number(i), n)
	}
	return append(b, s.unknown...)
}

func decodeState(body []byte) (s state, err error) {
	err = wire.Fields(body, func(f wire.Field) error {
		switch i := int(f.Number - stateCounts); {
		case f.Number == stateRevision:
			s.revision = f.Varint
		case f.Number == stateSeq:
			s.seq = f.Varint
		case i >= 0 && i < bucketCount:
			s.counts[i] = f.Varint
		default:
			s.unknown = append(s.unknown, f.Raw...)
		}
		return nil
	})
	return s, err
}

func noteBody(at time.Time, text string) []byte {
	return wire.AppendText(wire.AppendTime(nil, noteAt, at), noteText, text)
}

func decodeNote(body []byte) (at time.Time, text string, err error) {
	err = wire.Fields(body, func(f wire.Field) error {
		switch f.Number {
		case noteAt:
			return f.Time(&at)
		case noteText:
			text = string(f.Bytes)
		}
		return nil
	})
	return at, text, err
}
