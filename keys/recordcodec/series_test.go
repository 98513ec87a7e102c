package recordcodec

import (
	"math"
	"testing"

	"github.com/docsgate/docsgate/internal/wire"
	"github.com/docsgate/docsgate/keys/usage/series"
)

func TestCounts(t *testing.T) {
	var full series.Counts
	for i := range full {
		full[i] = math.MaxUint64 - uint64(i)
	}
	for _, want := range []series.Counts{{}, full, {series.Requests: 1, series.AnswerMillis: 1200}} {
		body := AppendCounts(nil, &want)
		got, err := DecodeCounts(body)
		if err != nil || got != want {
			t.Errorf("%v became %v, %v", want, got, err)
		}
		newer, err := DecodeCounts(wire.AppendNumber(body, 400, 7))
		if err != nil || newer != want {
			t.Errorf("with a field of a newer version: %v, %v", newer, err)
		}
	}
	if _, err := DecodeCounts([]byte{0x08}); err == nil {
		t.Error("a truncated body is not an error")
	}
	if n := len(AppendCounts(nil, &series.Counts{series.Requests: 3, series.BytesSent: 4000})); n > 5 {
		t.Errorf("a bucket with two small counts has %d bytes", n)
	}
}
