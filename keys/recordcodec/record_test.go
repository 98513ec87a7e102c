package recordcodec

import (
	"fmt"
	"testing"
	"time"

	"github.com/docsgate/docsgate/keys"
	"github.com/docsgate/docsgate/keys/registry"
)

var testTime = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)

// record returns a typical record.
func record(n int) *registry.Record {
	return &registry.Record{
		ID: fmt.Sprintf("key_%026d", n), Name: fmt.Sprintf("Documentation site %d", n),
		Sources: []string{"7d0c1f0e-2f4b-4c7a-9a55-0c9c2f1d7a10"}, Hint: "a1B2",
		Digest:  keys.DigestOf(fmt.Sprint("token ", n)),
		Created: testTime, Changed: testTime, Expires: testTime.AddDate(1, 0, 0),
	}
}

// BenchmarkRecord measures the figures in record.go.
func BenchmarkRecord(b *testing.B) {
	r := record(1)
	r.Sources = append(r.Sources, "0a1f5c4e-9a55-4c7a-2f4b-0c9c2f1d7a10")
	r.PreviousTokens = []keys.PreviousToken{{Digest: keys.DigestOf("old"), Until: testTime.Add(24 * time.Hour)}}
	r.Rotated, r.Revision = testTime, 1_000_000
	body := AppendRecord(nil, r)
	b.Run("encode", func(b *testing.B) {
		for b.Loop() {
			body = AppendRecord(body[:0], r)
		}
		b.ReportMetric(float64(len(body)), "bytes")
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		var d Decoder
		id := []byte(r.ID)
		for b.Loop() {
			if _, _, err := d.Record(id, body); err != nil {
				b.Fatal(err)
			}
		}
	})
}
