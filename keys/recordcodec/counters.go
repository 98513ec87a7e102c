package recordcodec

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/docsgate/docsgate/internal/wire"
	"github.com/docsgate/docsgate/keys/quota"
	"github.com/docsgate/docsgate/keys/usage"
)

// Fields of usage and of quotas.
const (
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

// AppendUse appends the body of the usage of a key.
func AppendUse(b []byte, r *usage.Row) []byte {
	b = wire.AppendNumber(b, useLast, uint64(r.LastUsed))
	b = wire.AppendNumber(b, useOldLast, uint64(r.OldLastUsed))
	b = wire.AppendNumber(b, useHour, uint64(r.Hour))
	var list []byte
	for _, n := range r.Requests {
		if len(list) > 0 || n != 0 {
			list = protowire.AppendVarint(list, uint64(n))
		}
	}
	return wire.AppendText(b, useRequests, string(list))
}

// DecodeUse decodes the usage of a key.
func DecodeUse(id, body []byte) (r usage.Row, err error) {
	r.ID = string(id)
	err = wire.Fields(body, func(f wire.Field) error {
		switch f.Number {
		case useLast:
			r.LastUsed = int64(f.Varint)
		case useOldLast:
			r.OldLastUsed = int64(f.Varint)
		case useHour:
			r.Hour = int64(f.Varint)
		case useRequests:
			return decodeRequests(&r.Requests, f.Bytes)
		}
		return nil
	})
	return r, err
}

// AppendQuota appends the body of the quotas of a key.
func AppendQuota(b []byte, r *quota.Row) []byte {
	b = wire.AppendNumber(b, quotaDay, uint64(r.Day))
	b = wire.AppendNumber(b, quotaQuestionsDay, uint64(r.QuestionsDay))
	b = wire.AppendNumber(b, quotaQuestionsMonth, uint64(r.QuestionsMonth))
	b = wire.AppendNumber(b, quotaTokensDay, uint64(r.TokensDay))
	b = wire.AppendNumber(b, quotaMeanTokens, uint64(r.MeanTokens))
	return wire.AppendNumber(b, quotaEstimatedDay, uint64(r.EstimatedDay))
}

// DecodeQuota decodes the quotas of a key.
func DecodeQuota(id, body []byte) (r quota.Row, err error) {
	r.ID = string(id)
	err = wire.Fields(body, func(f wire.Field) error {
		switch f.Number {
		case quotaDay:
			r.Day = int32(f.Varint)
		case quotaQuestionsDay:
			r.QuestionsDay = int64(f.Varint)
		case quotaQuestionsMonth:
			r.QuestionsMonth = int64(f.Varint)
		case quotaTokensDay:
			r.TokensDay = int64(f.Varint)
		case quotaMeanTokens:
			r.MeanTokens = int64(f.Varint)
		case quotaEstimatedDay:
			r.EstimatedDay = int64(f.Varint)
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
			return wire.ErrEncoding
		}
		counts[n], list = uint32(count), list[size:]
	}
	copy(to[len(to)-n:], counts[:n])
	return nil
}
