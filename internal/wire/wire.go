// Package wire reads and writes protobuf messages field by field, without generated code: what the key stores contain.
//
// A time is {1: Unix seconds, 2: nanoseconds}, like google.protobuf.Timestamp; the zero time is omitted, as are empty texts and zero
// numbers.
package wire

import (
	"errors"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// ErrEncoding means that a message cannot be decoded.
var ErrEncoding = errors.New("the encoding is invalid")

const (
	timeSeconds     = 1
	timeNanoseconds = 2
)

// Field is one field of a message. Depending on its type, either Bytes or Varint is set.
type Field struct {
	Number int32
	Bytes  []byte
	Varint uint64
	Raw    []byte // including tag and length
}

// Fields calls yield for each field of a message. All known fields are varints or bytes. A field with an unexpected type reads
// as zero or empty; the checksum of the row was verified before.
func Fields(b []byte, yield func(Field) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return ErrEncoding
		}
		f := Field{Number: int32(number)}
		size := 0
		switch kind {
		case protowire.VarintType:
			f.Varint, size = protowire.ConsumeVarint(b[n:])
		case protowire.BytesType:
			f.Bytes, size = protowire.ConsumeBytes(b[n:])
		default:
			size = protowire.ConsumeFieldValue(number, kind, b[n:])
		}
		if size < 0 {
			return ErrEncoding
		}
		f.Raw, b = b[:n+size], b[n+size:]
		if err := yield(f); err != nil {
			return err
		}
	}
	return nil
}

// Time decodes the field as a time.
func (f Field) Time(t *time.Time) error {
	var seconds, nanoseconds int64
	err := Fields(f.Bytes, func(f Field) error {
		switch f.Number {
		case timeSeconds:
			seconds = int64(f.Varint)
		case timeNanoseconds:
			nanoseconds = int64(f.Varint)
		}
		return nil
	})
	*t = time.Unix(seconds, nanoseconds).UTC()
	return err
}

// AppendText appends a text or bytes.
func AppendText(b []byte, n protowire.Number, text string) []byte {
	if text == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), text)
}

// AppendNumber appends an unsigned number.
func AppendNumber(b []byte, n protowire.Number, number uint64) []byte {
	if number == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, n, protowire.VarintType), number)
}

// AppendTime appends a time.
func AppendTime(b []byte, n protowire.Number, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	b = protowire.AppendTag(b, n, protowire.BytesType)
	b = protowire.AppendVarint(b, uint64(timeBody(t)))
	b = AppendNumber(b, timeSeconds, uint64(t.Unix()))
	return AppendNumber(b, timeNanoseconds, uint64(t.Nanosecond()))
}

// TimeSize returns the size of what AppendTime appends.
func TimeSize(n protowire.Number, t time.Time) int {
	if t.IsZero() {
		return 0
	}
	return protowire.SizeTag(n) + protowire.SizeBytes(timeBody(t))
}

func timeBody(t time.Time) (size int) {
	if s := uint64(t.Unix()); s != 0 {
		size += protowire.SizeTag(timeSeconds) + protowire.SizeVarint(s)
	}
	if ns := uint64(t.Nanosecond()); ns != 0 {
		size += protowire.SizeTag(timeNanoseconds) + protowire.SizeVarint(ns)
	}
	return size
}
