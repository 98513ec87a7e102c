package recordcodec

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/docsgate/docsgate/internal/wire"
	"github.com/docsgate/docsgate/keys/usage/series"
)

// AppendCounts appends the body of a bucket of usage: the counts that are not 0. The number of a field is its index plus 1.
func AppendCounts(b []byte, c *series.Counts) []byte {
	for i, n := range c {
		b = wire.AppendNumber(b, protowire.Number(i+1), n)
	}
	return b
}

// DecodeCounts decodes the body of a bucket of usage. It ignores fields of newer versions.
func DecodeCounts(body []byte) (c series.Counts, err error) {
	err = wire.Fields(body, func(f wire.Field) error {
		if i := int(f.Number) - 1; i >= 0 && i < len(c) {
			c[i] = f.Varint
		}
		return nil
	})
	return c, err
}
