package boltstore

import (
	"errors"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/keys/usage"
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

	useLast     = 1
	useOldLast  = 2
	useHour     = 3
	useRequests = 4 // consecutive varints, without the leading zeros of the day

	quotaDay            = 1
	quotaQuestionsDay   = 2
	quotaQuestionsMonth = 3
	quotaTokensDay      = 4
	quotaMeanTokens     = 5
	quotaEstimatedDay   = 6
)

func formatBody(major, minor uint64) []byte {
	return appendNumber(appendNumber(nil, formatMajorField, major), formatMinorField, minor)
}

func decodeFormat(body []byte) (major, minor uint64, err error) {
	err = fields(body, func(f field) error {
		switch f.number {
		case formatMajorField:
			major = f.varint
		case formatMinorField:
			minor = f.varint
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
	b := appendNumber(appendNumber(nil, stateRevision, s.revision), stateSeq, s.seq)
	for i, n := range s.counts {
		b = appendNumber(b, stateCounts+protowire.Number(i), n)
	}
	return append(b, s.unknown...)
}

func decodeState(body []byte) (s state, err error) {
	err = fields(body, func(f field) error {
		switch i := int(f.number - stateCounts); {
		case f.number == stateRevision:
			s.revision = f.varint
		case f.number == stateSeq:
			s.seq = f.varint
		case i >= 0 && i < bucketCount:
			s.counts[i] = f.varint
		default:
			s.unknown = append(s.unknown, f.raw...)
		}
		return nil
	})
	return s, err
}

func noteBody(at time.Time, text string) []byte {
	return appendText(appendTime(nil, noteAt, at), noteText, text)
}

func decodeNote(body []byte) (at time.Time, text string, err error) {
	err = fields(body, func(f field) error {
		switch f.number {
		case noteAt:
			return f.time(&at)
		case noteText:
			text = string(f.bytes)
		}
		return nil
	})
	return at, text, err
}

func useBody(r *usage.Row) []byte {
	b := appendNumber(nil, useLast, uint64(r.LastUsed))
	b = appendNumber(b, useOldLast, uint64(r.OldLastUsed))
	b = appendNumber(b, useHour, uint64(r.Hour))
	var list []byte
	for _, n := range r.Requests {
		if len(list) > 0 || n != 0 {
			list = protowire.AppendVarint(list, uint64(n))
		}
	}
	return appendText(b, useRequests, string(list))
}

func decodeUse(id, body []byte) (r usage.Row, err error) {
	r.ID = string(id)
	err = fields(body, func(f field) error {
		switch f.number {
		case useLast:
			r.LastUsed = int64(f.varint)
		case useOldLast:
			r.OldLastUsed = int64(f.varint)
		case useHour:
			r.Hour = int64(f.varint)
		case useRequests:
			return decodeRequests(&r.Requests, f.bytes)
		}
		return nil
	})
	return r, err
}

func quotaBody(r *quota.Row) []byte {
	b := appendNumber(nil, quotaDay, uint64(r.Day))
	b = appendNumber(b, quotaQuestionsDay, uint64(r.QuestionsDay))
	b = appendNumber(b, quotaQuestionsMonth, uint64(r.QuestionsMonth))
	b = appendNumber(b, quotaTokensDay, uint64(r.TokensDay))
	b = appendNumber(b, quotaMeanTokens, uint64(r.MeanTokens))
	return appendNumber(b, quotaEstimatedDay, uint64(r.EstimatedDay))
}

func decodeQuota(id, body []byte) (r quota.Row, err error) {
	r.ID = string(id)
	err = fields(body, func(f field) error {
		switch f.number {
		case quotaDay:
			r.Day = int32(f.varint)
		case quotaQuestionsDay:
			r.QuestionsDay = int64(f.varint)
		case quotaQuestionsMonth:
			r.QuestionsMonth = int64(f.varint)
		case quotaTokensDay:
			r.TokensDay = int64(f.varint)
		case quotaMeanTokens:
			r.MeanTokens = int64(f.varint)
		case quotaEstimatedDay:
			r.EstimatedDay = int64(f.varint)
		}
		return nil
	})
	return r, err
}

func decodeRequests(to *[usage.Hours]uint32, list []byte) error {
	var counts [usage.Hours]uint32
	n := 0
	for ; len(list) > 0; n++ {
		count, size := protowire.ConsumeVarint(list)
		if size < 0 || n == len(counts) {
			return errBody
		}
		counts[n], list = uint32(count), list[size:]
	}
	copy(to[len(to)-n:], counts[:n])
	return nil
}
